"""`python -m airflow_sagemaker`: the same work without Airflow."""

from __future__ import annotations

import sys

from airflow_sagemaker.cli import main

sys.exit(main())
