"""Reports the progress of an execution: the transitions of its steps and, if requested, its jobs' log lines.

Triggerer and worker write the same report. Its `position` is plain data in the trigger's event, so that the worker
continues at the line where the triggerer stopped. A restarted triggerer has no position: lines are repeated, marked
"earlier", but none is missing.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.job_logs import Follower, log_group
from airflow_sagemaker.contract import ProgressLevel

if TYPE_CHECKING:
    from airflow_sagemaker.aws.executions import Executions, Step
    from airflow_sagemaker.types import JsonObject

POSITION_KEY = "told"
"""Key of the position in a trigger's event and in the task state store; older versions use it, too."""

ENDED = frozenset({"Succeeded", "Failed", "Stopped"})
TO_THE_END = 1000
"""Maximum pages of a log (10,000 lines each) that are read at the end."""

Line = tuple[str, str]
"""Log level and text."""


@dataclass
class ProgressReport:
    """Knows what was reported about an execution. `level` is a `contract.ProgressLevel`."""

    level: str
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    """Log lines from before this time are marked, because an earlier report may have shown them."""
    steps: dict[str, str] = field(default_factory=dict)
    followers: dict[str, Follower] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """About how many calls `new_lines` makes, for the budget."""
        return 1 + (self.level == ProgressLevel.LOGS) * max(1, len(self.followers))

    def new_lines(self, executions: Executions, arn: str, *, to_the_end: bool = False) -> list[Line]:
        """Return what is new since the last call; blocking. After one of botocore's errors, the lines follow later."""
        before = deepcopy((self.steps, self.followers))
        try:
            return self._read_new_lines(executions, arn, to_the_end)
        except Exception:
            self.steps, self.followers = before  # lines that are not returned have not been reported
            raise

    def _read_new_lines(self, executions: Executions, arn: str, to_the_end: bool) -> list[Line]:
        if self.level == ProgressLevel.STATUS:
            return []
        lines: list[Line] = []
        for step in executions.steps(arn):
            lines += self._transition(step)
            if self.level == ProgressLevel.LOGS and step.job_name and log_group(step.type):
                lines += self._log_lines(executions, step, to_the_end)
        return lines

    def _transition(self, step: Step) -> list[Line]:
        if self.steps.get(step.name) == step.status:
            return []
        self.steps[step.name] = step.status
        text = f"Step {step.name}: {step.status}"
        if step.cache_hit:
            text += " (from the step cache)"
        elif step.status in ENDED and step.seconds is not None:
            text += f" after {step.seconds:.0f} s"
        elif step.job_name:
            text += f" (job {step.job_name})"
        if step.failure_reason:
            text += f": {step.failure_reason}"
        return [("error" if step.status == "Failed" else "info", text)]

    def _log_lines(self, executions: Executions, step: Step, to_the_end: bool) -> list[Line]:
        group = log_group(step.type) or ""
        follower = self.followers.setdefault(step.job_name, Follower(group, step.job_name))
        if follower.finished and not to_the_end:
            return []
        events = follower.read(executions.aws, pages=TO_THE_END if to_the_end else 1)
        follower.finished = step.status in ENDED and not events
        return [("info", self._formatted(step.name, event)) for event in events]

    def _formatted(self, step: str, event: tuple[datetime, str]) -> str:
        """Return `[Train] 2026-01-01T00:00:00.000Z the job's line`; the line is last, so that it can be matched."""
        moment, line = event
        mark = " earlier" if moment < self.since else ""
        return (
            f"[{step}{mark}] {moment.astimezone(UTC).isoformat(timespec='milliseconds').replace('+00:00', 'Z')} {line}"
        )

    def position(self) -> JsonObject:
        """Return the position as plain data; a copy, because another thread continues the report."""
        return {
            "since": self.since.isoformat(),
            "steps": dict(self.steps),
            "logs": {name: dict(follower.tokens) for name, follower in self.followers.items()},
            "groups": {name: follower.group for name, follower in self.followers.items()},
        }

    @classmethod
    def continued(cls, level: str, position: object) -> ProgressReport:
        """Return a report that continues at a position; a new one if there is none, or it cannot be read."""
        if not isinstance(position, dict) or "since" not in position:
            return cls(level)
        groups = position.get("groups", {})
        logs = position.get("logs", {})
        followers = {name: Follower(groups.get(name, ""), name, dict(tokens)) for name, tokens in logs.items()}
        return cls(level, datetime.fromisoformat(position["since"]), dict(position.get("steps", {})), followers)
