"""A local SageMaker: one server that answers the AWS protocols and really runs the jobs, without Docker."""

__version__ = "0.1.0"
"""That of airflow_sagemaker, with which it is released."""
