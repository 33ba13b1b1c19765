"""The Callback step: sends a message with a token, and waits for a callback with this token."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import string
from collections.abc import Mapping
from typing import ClassVar

from local_sagemaker.expressions.problem import Problem
from local_sagemaker.expressions.values import is_expression
from local_sagemaker.identifiers import now
from local_sagemaker.json_text import dumps
from local_sagemaker.steps import output_parameters
from local_sagemaker.steps.step import Arguments, Step
from local_sagemaker.steps.step_run import StepRun
from local_sagemaker.steps.step_type import Path, StepType
from local_sagemaker.types import JsonMapping

_TOKEN_LENGTH = 10
_QUEUE = re.compile(r"https?://[^/\s]+/(?:[^/\s]+/)*[A-Za-z0-9_-]{1,80}(?:\.fifo)?")
_MAX_QUEUE_URL = 256
_MAX_MESSAGE = 262_144
"""Maximum bytes of an SQS message."""


class CallbackStep(StepType):
    """Waits for SendPipelineExecutionStepSuccess or SendPipelineExecutionStepFailure."""

    name = "Callback"
    creates = None
    takes_cache_config: ClassVar = True  # the SDK sends it, but the service does not cache these steps
    members: ClassVar = frozenset({"SqsQueueUrl", output_parameters.MEMBER})
    max_seconds: ClassVar = 7 * 86400.0
    """The service's limit (developer guide, "Callback step")."""

    def check_arguments(self, step: str, arguments: Arguments) -> None:
        """Accept any object: it becomes part of the message."""

    def check_members(self, step: str, members: JsonMapping) -> None:
        """Check the queue and the outputs."""
        url = members.get("SqsQueueUrl")
        if not is_expression(url):
            _checked_queue(step, url)
        output_parameters.check_outputs(step, members.get(output_parameters.MEMBER))

    def check_property(self, step: Step, path: Path, where: str) -> None:
        """Allow only declared outputs."""
        output_parameters.check_property(step, path, where)

    def run(self, run: StepRun) -> None:
        """Send the message, and wait."""
        url = run.resolve(run.step.members["SqsQueueUrl"])
        try:
            queue = _checked_queue(run.step.name, url)
            token = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_TOKEN_LENGTH))
            body = _message(run, token, "Executing")
        except Problem as problem:
            run.fail(f"ClientError: {problem}")
            return
        metadata = {self.name: {"CallbackToken": token, "SqsQueueUrl": queue}}
        run.wait_for_callback(token, metadata=metadata)
        run.send(queue, body)

    def stop(self, run: StepRun) -> None:
        """Send a message about it; the step stops when the receiver calls back."""
        metadata = run.metadata[self.name]
        run.send(metadata["SqsQueueUrl"], _message(run, metadata["CallbackToken"], "Stopping"))


def succeed(connection: sqlite3.Connection, row: sqlite3.Row, step: Step, outputs: Mapping[str, str]) -> None:
    """End a waiting step with its outputs; Problem if they do not match its declaration."""
    values = output_parameters.typed(step, outputs)
    metadata = json.loads(row["metadata"])[CallbackStep.name] | {
        output_parameters.MEMBER: output_parameters.as_members(values)
    }
    connection.execute(
        "UPDATE steps SET status = 'Succeeded', ended = ?, metadata = ?, properties = ? WHERE seq = ?",
        (now(), dumps({CallbackStep.name: metadata}), dumps({output_parameters.MEMBER: values}), row["seq"]),
    )


def _message(run: StepRun, token: str, status: str) -> str:
    """The body of a message.

    Sources: the developer guide, "Callback step"; for its status StopPipelineExecution in the API reference.
    """
    body = dumps(
        {
            "token": token,
            "pipelineExecutionArn": run.execution["arn"],
            "status": status,
            "arguments": run.resolve_arguments(),
        }
    )
    size = len(body.encode())
    if size > _MAX_MESSAGE:
        raise Problem(f"The message of step '{run.step.name}' has {size} bytes, at most {_MAX_MESSAGE} are allowed")
    return body


def _checked_queue(step: str, url: object) -> str:
    if not isinstance(url, str) or len(url) > _MAX_QUEUE_URL or not _QUEUE.fullmatch(url):
        raise Problem(
            f"SqsQueueUrl of step '{step}' must be a URL such as"
            f" https://sqs.us-east-1.amazonaws.com/123456789012/my-queue, found {str(url)[:100]!r}"
        )
    return url
