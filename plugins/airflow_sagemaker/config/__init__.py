"""What users write, checked without `airflow`, `boto3`, `sagemaker` or `torch`: none of them is imported here."""
