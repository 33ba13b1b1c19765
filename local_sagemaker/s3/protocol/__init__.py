"""The S3 protocol: requests told apart, signatures checked, bodies taken in, answers written."""
