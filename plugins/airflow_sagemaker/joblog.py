"""The log of a SageMaker job in CloudWatch Logs: its tail, and reading on from where one stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sagemaker.aws import Fault, classify

if TYPE_CHECKING:
    from airflow_sagemaker.aws import Aws

_GROUPS = {"TrainingJob": "/aws/sagemaker/TrainingJobs", "ProcessingJob": "/aws/sagemaker/ProcessingJobs"}


def log_group(step_type: str) -> str | None:
    """The log group of a step of this type, or None when its job writes no log of its own."""
    return _GROUPS.get(step_type)


def streams(aws: Aws, group: str, job_name: str) -> list[str]:
    """The job's log streams, one per host; empty before the job's first line."""
    try:
        page = aws.call(
            "logs", "describe_log_streams", logGroupName=group, logStreamNamePrefix=f"{job_name}/", limit=50
        )
    except Exception as error:
        if classify(error) is Fault.NOT_FOUND:
            return []
        raise
    return sorted(stream["logStreamName"] for stream in page.get("logStreams", []))


def tail(aws: Aws, group: str, job_name: str, lines: int) -> list[str]:
    """The last lines of the job's log; with several hosts, of the first with a traceback, else the first."""
    found: list[str] = []
    for stream in streams(aws, group, job_name):
        page = aws.call(
            "logs", "get_log_events", logGroupName=group, logStreamName=stream, limit=lines, startFromHead=False
        )
        text = [event["message"].rstrip("\n") for event in page.get("events", [])]
        if any("Traceback" in line for line in text):
            return text
        found = found or text
    return found


@dataclass
class Follower:
    """Reads one job's log forward, remembering a token per stream, so that no line is missed or given twice."""

    group: str
    job_name: str
    tokens: dict[str, str] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)

    def read(self, aws: Aws, *, refresh: bool = True, pages: int = 1) -> list[str]:
        """New lines since the last call, at most `pages` pages (of up to 10,000 lines) per stream."""
        if refresh or not self.known:
            self.known = streams(aws, self.group, self.job_name)
        lines: list[str] = []
        for number, stream in enumerate(self.known):
            prefix = f"[{number + 1}] " if len(self.known) > 1 else ""
            lines += [prefix + line for line in self._read_stream(aws, stream, pages)]
        return lines

    def _read_stream(self, aws: Aws, stream: str, pages: int) -> list[str]:
        lines: list[str] = []
        for _ in range(pages):
            token = {"nextToken": self.tokens[stream]} if stream in self.tokens else {}
            page = aws.call(
                "logs", "get_log_events", logGroupName=self.group, logStreamName=stream, startFromHead=True, **token
            )
            lines += [event["message"].rstrip("\n") for event in page.get("events", [])]
            forward = page.get("nextForwardToken")
            # CloudWatch says "that was all" by giving the same token back.
            ended = forward is None or forward == self.tokens.get(stream)
            if forward is not None:
                self.tokens[stream] = forward
            if ended:
                break
        return lines
