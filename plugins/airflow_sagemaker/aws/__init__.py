"""boto3 calls and what their answers mean; no task, no record, no Airflow but its connections."""
