"""Tables that people bring: looked at, configured, split into channels and checked, without a job or an instance.

Needs pyarrow, which comes with the extra `table`; nothing here imports Airflow or boto3.
"""
