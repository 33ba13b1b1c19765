"""The S3 protocol: operations, signatures, request bodies, and responses."""
