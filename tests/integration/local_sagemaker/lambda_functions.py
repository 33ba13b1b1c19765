"""What the Lambda steps of the tests call, through `serve --lambda`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import boto3


def double(event: dict[str, Any], context: Any) -> dict[str, Any]:
    seconds = context.get_remaining_time_in_millis() // 1000
    print(f"called with {sorted(event)} as {context.function_name}, {seconds} s left")
    return {"statusCode": 200, "count": event["count"] * 2, "share": "0.5", "good": True, "verdict": "yes", "more": [1]}


def names(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A client of the local server, without a word about it."""
    found = boto3.client("sagemaker").describe_pipeline_execution(PipelineExecutionArn=event["execution"])
    return {"verdict": found["PipelineExecutionStatus"]}


def raises(event: dict[str, Any], context: Any) -> None:
    raise ValueError("no such customer")


def no_json(event: dict[str, Any], context: Any) -> Any:
    return {1, 2}


def text(event: dict[str, Any], context: Any) -> str:
    return "done"


def leaves(event: dict[str, Any], context: Any) -> None:
    os._exit(7)


def endless(event: dict[str, Any], context: Any) -> None:
    print("up", flush=True)
    time.sleep(600)


def waits(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Until a file is there."""
    deadline = time.monotonic() + 60
    while not Path(event["file"]).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return {"verdict": "yes"}


def floods(event: dict[str, Any], context: Any) -> dict[str, Any]:
    for number in range(100_000):
        print("x" * 100, number)
    return {"verdict": "yes"}
