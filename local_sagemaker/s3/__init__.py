"""S3 over a plain folder: an HTTP server for clients, and direct reads for this server.

Nothing here depends on SageMaker.
"""
