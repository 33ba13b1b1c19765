"""The help of each command, which fits on a screen and ends with an example."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLES = {
    "validate": "validate dags/churn.yaml --data --bucket my-bucket --partition 2026-01-31",
    "estimate": "estimate dags/churn.yaml --from-date 2026-01-01 --to-date 2026-01-31",
    "compile": "compile dags/churn.yaml --output definition.json",
    "diff": "diff dags/churn.yaml",
    "publish": "publish dags/ --bucket my-bucket --role-arn arn:aws:iam::111122223333:role/my-role",
    "doctor": "doctor dags/churn.yaml --aws-conn-id aws_default",
    "smoke": "smoke --yes --bucket my-bucket --role-arn arn:aws:iam::111122223333:role/my-role",
    "run": "run dags/churn.yaml --bucket my-bucket --role-arn arn:aws:iam::111122223333:role/my-role --param epochs=3",
    "logs": "logs dags/churn.yaml --partition 2026-01-31 --follow",
    "stop": "stop dags/churn.yaml --partition 2026-01-31",
    "predict": "predict s3://my-bucket/churn/output/2026-01-31/.../model.tar.gz new.parquet answers.parquet",
    "orphans": "orphans --airflow-url https://airflow.example.com --stop",
    "backfill-summary": "backfill-summary churn --from-date 2026-01-01 --to-date 2026-01-31",
    "init": "init churn.parquet --label churned --id customer_id",
    "split": "split churn.parquet dags/churn.yaml --bucket my-bucket --partition 2026-01-31",
}


_EXAMPLE = "example:\n  "


class HelpFormatter(argparse.HelpFormatter):
    """Breaks lines at the terminal's width, except in the example, which users copy."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_EXAMPLE) else super()._fill_text(text, width, indent)


def add_example(name: str, command: argparse.ArgumentParser, program: str) -> None:
    """Add the example at the end of a command's help, and omit the options from its usage line."""
    positional = [action for action in command._actions if not action.option_strings]
    words = [f"[{action.metavar}]" if action.nargs == "?" else str(action.metavar) for action in positional]
    command.usage = " ".join([program, name, "[OPTIONS]", *words])
    command.epilog = f"{_EXAMPLE}{program} {EXAMPLES[name]}"
    command.formatter_class = HelpFormatter


def program_name() -> str:
    """Return the name by which it was called: the script exists only if the package is installed."""
    script = Path(sys.argv[0]).stem
    return script if script == "airflow-sagemaker" else "python -m airflow_sagemaker"
