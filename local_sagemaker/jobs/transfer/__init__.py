"""Transfers between jobs and S3: channels, checkpoints and archives.

Nothing here starts a process.
"""
