"""Users' tables: inspected, configured, split into channels and checked, without a job.

Needs pyarrow, which comes with the extra `table`; nothing here imports Airflow or boto3.
"""
