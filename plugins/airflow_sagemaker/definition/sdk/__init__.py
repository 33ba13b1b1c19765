"""Runs in the compile process: the only folder that may import `sagemaker`, and nothing outside it imports this one."""
