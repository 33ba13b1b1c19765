"""S3 over a plain folder; nothing here knows SageMaker."""
