"""The compile side: what runs in the process that imports the SageMaker SDK, and what is said to and by it."""
