"""Configurations and their validation; imports neither `airflow` nor `boto3`, `sagemaker` or `torch`."""
