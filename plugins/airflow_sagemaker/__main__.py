"""`python -m airflow_sagemaker`: the same work without Airflow."""

from __future__ import annotations

import sys

from airflow_sagemaker.cli import main

if __name__ == "__main__":
    sys.exit(main())
