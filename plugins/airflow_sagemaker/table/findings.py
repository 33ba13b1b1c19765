"""What a check has found: one number each, in the form of the flights' own checks (docs/data-checks.md)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass

from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.types import JsonObject

UNLIMITED = "-"
"""The limit of a number that is only reported."""
MOST_OF_A_CHECK = 50
"""Numbers of one check that are reported, the largest ones: a table of 10,000 columns has so many shares of nulls, and
findings travel through Airflow's database. Those outside their limit are all kept."""


@dataclass(frozen=True)
class Finding:
    """One number and the limit it was held against; without a limit it is only reported."""

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
        """The number for a terminal: with its limit, if it has one."""
        if not self.ok:
            return str(self)
        expected = "" if self.limit == UNLIMITED else f" (expected {self.limit})"
        example = f": {self.example}" if self.example else ""
        return f"{self.check} in {self.where}: {self.value:.4g}{expected}{example}"


def limited(switch: float, text: str) -> str:
    """Return the limit's text, or that there is none where it is switched off by 0."""
    return text if switch else UNLIMITED


def shortened(findings: list[Finding]) -> list[Finding]:
    """Return the failing findings first, and of those without a limit the largest of each check."""
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
    """Raise TableError, naming every failing number."""
    failing = [str(finding) for finding in findings if not finding.ok]
    if failing:
        count = f"{len(failing)} data check{'s' * (len(failing) > 1)} failed"
        raise TableError(f"{where}: {count}:\n" + "\n".join(f"  - {text}" for text in failing))


def as_data(findings: list[Finding]) -> list[JsonObject]:
    """Return findings as plain data, as the report page reads them."""
    return [asdict(finding) for finding in findings]
