"""The log of a SageMaker job in CloudWatch Logs: its last lines, and reading from the last position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.faults import Fault, classify_error

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.responses import LogEventPage, LogStreamPage

LOOK_FOR_STREAMS = 10
"""A follower lists the streams again at every tenth read."""

_GROUPS = {"TrainingJob": "/aws/sagemaker/TrainingJobs", "ProcessingJob": "/aws/sagemaker/ProcessingJobs"}


def log_group(step_type: str) -> str | None:
    """Return the log group of a step type's jobs, None if they have no log."""
    return _GROUPS.get(step_type)


def list_log_streams(aws: Aws, group: str, job_name: str) -> list[str]:
    """Return the job's log streams, one per host; empty before its first line."""
    try:
        page: LogStreamPage = aws.call(
            "logs", "describe_log_streams", logGroupName=group, logStreamNamePrefix=f"{job_name}/", limit=50
        )
    except Exception as error:
        if classify_error(error) is Fault.GONE:
            return []
        raise
    return sorted(stream["logStreamName"] for stream in page.get("logStreams", []))


def read_log_tail(aws: Aws, group: str, job_name: str, lines: int) -> list[str]:
    """Return the last lines of the job's log; of several hosts, the first with a traceback, or the first."""
    found: list[str] = []
    for stream in list_log_streams(aws, group, job_name):
        page: LogEventPage = aws.call(
            "logs", "get_log_events", logGroupName=group, logStreamName=stream, limit=lines, startFromHead=False
        )
        text = [event["message"].rstrip("\n") for event in page.get("events", [])]
        if any("Traceback" in line for line in text):
            return text
        found = found or text
    return found


@dataclass
class Follower:
    """Reads a job's log forward with a token per stream, so that no line is missed or repeated."""

    group: str
    job_name: str
    tokens: dict[str, str] = field(default_factory=dict)
    finished: bool = False
    _streams: list[str] = field(default_factory=list)
    _reads: int = 0

    def read(self, aws: Aws, *, pages: int = 1) -> list[tuple[datetime, str]]:
        """Return new (time, line)s since the last call, by time: at most `pages` pages of 10,000 per stream."""
        # A host's stream appears with its first line, so the streams are listed again from time to time.
        if not self._streams or self._reads % LOOK_FOR_STREAMS == 0 or pages > 1:
            self._streams = list_log_streams(aws, self.group, self.job_name)
        self._reads += 1
        events: list[tuple[datetime, str]] = []
        for number, stream in enumerate(self._streams, start=1):
            host = f"[host {number}] " if len(self._streams) > 1 else ""
            events += [(moment, host + line) for moment, line in self._read_stream(aws, stream, pages)]
        return sorted(events, key=lambda event: event[0]) if len(self._streams) > 1 else events

    def _read_stream(self, aws: Aws, stream: str, pages: int) -> Iterator[tuple[datetime, str]]:
        for _ in range(pages):
            token = {"nextToken": self.tokens[stream]} if stream in self.tokens else {}
            page: LogEventPage = aws.call(
                "logs", "get_log_events", logGroupName=self.group, logStreamName=stream, startFromHead=True, **token
            )
            for event in page.get("events", []):
                yield datetime.fromtimestamp(event["timestamp"] / 1000, UTC), event["message"].rstrip("\n")
            forward = page.get("nextForwardToken")
            # CloudWatch returns the same token at the end of the stream.
            ended = forward is None or forward == self.tokens.get(stream)
            if forward is not None:
                self.tokens[stream] = forward
            if ended:
                return
