"""Code of the compile process: it may import `sagemaker`, and no other code may import it."""
