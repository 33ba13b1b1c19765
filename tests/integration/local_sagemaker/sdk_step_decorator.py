"""Functions as steps, by the SDK's `@step`: the script of a user, run as a child process.

Usage: sdk_step_decorator.py NAME ROLE BUCKET IMAGE, AWS_* variables name the service. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys

from sagemaker.core.helper.session_helper import Session
from sagemaker.mlops.workflow.function_step import step
from sagemaker.mlops.workflow.pipeline import Pipeline

OPT_OUT = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


def main(name: str, role: str, bucket: str, image: str) -> None:
    """Add two numbers in one step, and fail in the next with the sum."""
    session = Session(default_bucket=bucket, sagemaker_config=OPT_OUT)
    settings = {
        "role": role,
        "image_uri": image,
        "instance_type": "ml.m5.large",
        "keep_alive_period_in_seconds": 300,
    }

    @step(name="Add", **settings)
    def add(left: int, right: int) -> int:
        return left + right

    @step(name="Refuse", **settings)
    def refuse(total: int) -> None:
        raise ValueError(f"{total} is refused")

    pipeline = Pipeline(name=name, steps=[refuse(add(2, 3))], sagemaker_session=session)
    pipeline.create(role_arn=role)
    execution = pipeline.start()
    try:
        execution.wait(delay=1, max_attempts=3600)
    except Exception as error:  # a failed execution ends the SDK's waiter so
        print("waiter:", error, file=sys.stderr)
    steps = {item["StepName"]: item for item in execution.list_steps()}
    print(json.dumps({"sum": execution.result("Add"), "steps": steps}, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
