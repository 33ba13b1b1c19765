"""What a job gets and leaves: channels, checkpoints, archives, and S3 as they use it.

Nothing here starts a process.
"""
