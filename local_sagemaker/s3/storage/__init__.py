"""Buckets and objects as folders and plain files; nothing here knows HTTP."""
