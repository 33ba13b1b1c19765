"""A local SageMaker: one server that answers the AWS protocols and really runs the jobs, without Docker."""
