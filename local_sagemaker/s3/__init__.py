"""S3 over a plain folder, for clients by HTTP and for the server's own reads.

Nothing here knows SageMaker.
"""
