"""The command line: `airflow-sagemaker`, or `python -m airflow_sagemaker`."""

from __future__ import annotations

import signal
import sys

from airflow_sagemaker.cli import main


def run() -> None:
    """Run the command line and exit with its code."""
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would only end the clean-up with a traceback
    sys.exit(code)


if __name__ == "__main__":
    run()
