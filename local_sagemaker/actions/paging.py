"""Keyset pagination: a page never repeats or skips rows that existed before it was read."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from dataclasses import dataclass, field

from local_sagemaker.errors import ValidationException
from local_sagemaker.identifiers import sagemaker_arn
from local_sagemaker.json_text import dumps
from local_sagemaker.types import Request, SqlValue

DEFAULT_PAGE = 100
_PAGING_KEYS = ("NextToken", "MaxResults")


@dataclass
class Query:
    """A SELECT with conditions; `table` must have the column `seq`."""

    table: str
    columns: str = "*"
    where: list[str] = field(default_factory=list)
    values: list[SqlValue] = field(default_factory=list)

    def add(self, condition: str, *values: SqlValue) -> None:
        """Add a condition and the values of its question marks."""
        self.where.append(condition)
        self.values.extend(values)

    def add_region(self) -> None:
        """Limit the query to the caller's region; the table must have the column `arn`."""
        prefix = sagemaker_arn("")
        self.add("substr(arn, 1, ?) = ?", len(prefix), prefix)

    def add_range(self, column: str, after: float | None, before: float | None) -> None:
        """Add the given bounds; both are exclusive."""
        if after is not None:
            self.add(f"{column} > ?", after)
        if before is not None:
            self.add(f"{column} < ?", before)


def _fingerprint(query: Query, request: Request) -> str:
    """A fingerprint of the list: a token from another action, region or filter must not be accepted."""
    filters = {k: v for k, v in request.items() if k not in _PAGING_KEYS}
    return hashlib.sha256(dumps([query.table, query.where, query.values, filters]).encode()).hexdigest()[:16]


def _decode(token: str, expected: str) -> tuple[int | float | str, int]:
    try:
        fingerprint, value, seq = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
        if fingerprint == expected and isinstance(seq, int) and isinstance(value, (int, float, str)):
            return (value, seq)
    except (ValueError, TypeError):
        pass
    raise ValidationException("Invalid NextToken: this operation did not return it for these filters")


def page(
    connection: sqlite3.Connection, query: Query, request: Request, *, sort: str, descending: bool
) -> tuple[list[sqlite3.Row], dict[str, str]]:
    """One page of a query, sorted by the column `sort`. The second value is {"NextToken": ...}, or empty."""
    limit = request.get("MaxResults") or DEFAULT_PAGE
    fingerprint = _fingerprint(query, request)
    if request.get("NextToken"):
        sign = "<" if descending else ">"
        query.add(f"({sort}, seq) {sign} (?, ?)", *_decode(request["NextToken"], fingerprint))
    way = "DESC" if descending else "ASC"
    where = f"WHERE {' AND '.join(query.where)}" if query.where else ""
    rows = connection.execute(
        f"SELECT {query.columns} FROM {query.table} {where} ORDER BY {sort} {way}, seq {way} LIMIT ?",  # noqa: S608
        (*query.values, limit + 1),
    ).fetchall()
    if len(rows) <= limit:
        return rows, {}
    last = rows[limit - 1]
    token = base64.urlsafe_b64encode(json.dumps([fingerprint, last[sort], last["seq"]]).encode()).decode()
    return rows[:limit], {"NextToken": token}
