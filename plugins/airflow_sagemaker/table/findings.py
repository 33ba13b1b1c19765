"""Findings of checks: one number each, in the form of the flights' checks (docs/data-checks.md)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass

from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.types import JsonObject

UNLIMITED = "-"
"""The limit of a number that is only reported."""
MOST_OF_A_CHECK = 50
"""Largest numbers of each check that are reported: findings are stored in Airflow's database, and a table may have
10,000
columns. All numbers outside their limits are reported."""


@dataclass(frozen=True)
class Finding:
    """A number and its limit; a number without a limit is only reported."""

    check: str
    where: str
    value: float
    limit: str
    ok: bool = True
    example: str = ""

    def __str__(self) -> str:
        example = f"; for example {self.example}" if self.example else ""
        return f"{self.check} in {self.where}: {self.value:.4g} (expected {self.limit}{example})"

    @property
    def line(self) -> str:
        """The line for a terminal, with the limit if there is one."""
        if not self.ok:
            return str(self)
        expected = "" if self.limit == UNLIMITED else f" (expected {self.limit})"
        example = f": {self.example}" if self.example else ""
        return f"{self.check} in {self.where}: {self.value:.4g}{expected}{example}"


def limited(switch: float, text: str) -> str:
    """Return the limit's text, or that there is none if it is 0."""
    return text if switch else UNLIMITED


def shortened(findings: list[Finding]) -> list[Finding]:
    """Return failing findings first; of those without a limit, only the largest of each check."""
    failing = [finding for finding in findings if not finding.ok]
    by_check: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.ok:
            by_check[finding.check].append(finding)
    kept = failing
    for check, group in by_check.items():
        if len(group) <= MOST_OF_A_CHECK:
            kept += group
            continue
        largest = sorted(group, key=lambda finding: finding.value, reverse=True)
        kept += largest[:MOST_OF_A_CHECK]
        kept.append(Finding(f"{check}, not listed", "further columns", len(group) - MOST_OF_A_CHECK, UNLIMITED))
    return kept


def require_sound(findings: list[Finding], where: str) -> None:
    """Raise TableError with all failing findings."""
    failing = [str(finding) for finding in findings if not finding.ok]
    if failing:
        count = f"{len(failing)} data check{'s' * (len(failing) > 1)} failed"
        raise TableError(f"{where}: {count}:\n" + "\n".join(f"  - {text}" for text in failing))


def as_data(findings: list[Finding]) -> list[JsonObject]:
    """Return findings as JSON, as the report page reads them."""
    return [asdict(finding) for finding in findings]
