"""Buckets and objects as folders and plain files. Nothing here depends on HTTP."""
