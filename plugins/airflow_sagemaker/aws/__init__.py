"""boto3 calls and the meaning of their responses; no tasks, no records, and of Airflow only its connections."""
