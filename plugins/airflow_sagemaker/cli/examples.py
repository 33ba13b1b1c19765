"""An example for the help of each command."""

from __future__ import annotations

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


def example_of(command: str, program: str) -> str:
    """Return the last lines of a command's help."""
    return f"example:\n  {program} {EXAMPLES[command]}"
