"""The actions of CloudWatch Logs: groups, streams, writing, reading and filtering."""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

from local_sagemaker.errors import ServiceError
from local_sagemaker.identifiers import regional_arn
from local_sagemaker.logs.pattern import matches
from local_sagemaker.logs.store import LogStore
from local_sagemaker.types import Request, Response

Position: TypeAlias = list[str | int]
"""Where a page ends: a name, an offset, or a time, sequence number and direction."""


_PAGE_BYTES = 1_048_576
_PAGE_EVENTS = 10_000
_LAST = 2**63 - 1
"""Later than any event."""
_EVENT_OVERHEAD = 26
"""Bytes that the service counts for an event in addition to its text."""


def _error(code: str, message: str) -> ServiceError:
    error = ServiceError(message)
    error.code = code
    return error


def _millis() -> int:
    return int(time.time() * 1000)


def _group_name(request: Request) -> str:
    name = request.get("logGroupName")
    if name is None:
        identifier = str(request.get("logGroupIdentifier") or "")
        name = identifier.split(":log-group:", 1)[-1].removesuffix(":*") or None
    if name is None:
        raise _error("InvalidParameterException", "logGroupName must be specified.")
    return str(name)


def _group(store: LogStore, request: Request) -> sqlite3.Row:
    found = store.rows("SELECT * FROM log_groups WHERE name = ?", (_group_name(request),))
    if not found:
        raise _error("ResourceNotFoundException", "The specified log group does not exist.")
    return found[0]


def _stream(store: LogStore, request: Request) -> sqlite3.Row:
    group = _group(store, request)
    found = store.rows(
        "SELECT * FROM streams WHERE log_group = ? AND name = ?", (group["seq"], request["logStreamName"])
    )
    if not found:
        raise _error("ResourceNotFoundException", "The specified log stream does not exist.")
    return found[0]


def _group_arn(name: str) -> str:
    return regional_arn("logs", f"log-group:{name}")


def create_log_group(store: LogStore, request: Request) -> Response:
    """Create a group."""
    try:
        with store.write() as connection:
            connection.execute(
                "INSERT INTO log_groups (name, created) VALUES (?, ?)", (request["logGroupName"], _millis())
            )
    except sqlite3.IntegrityError:
        raise _error("ResourceAlreadyExistsException", "The specified log group already exists") from None
    return {}


def delete_log_group(store: LogStore, request: Request) -> Response:
    """Delete a group with its streams."""
    group = _group(store, request)
    with store.write() as connection:
        connection.execute("DELETE FROM log_groups WHERE seq = ?", (group["seq"],))
    return {}


def create_log_stream(store: LogStore, request: Request) -> Response:
    """Create a stream."""
    group = _group(store, request)
    try:
        with store.write() as connection:
            connection.execute(
                "INSERT INTO streams (log_group, name, created) VALUES (?, ?, ?)",
                (group["seq"], request["logStreamName"], _millis()),
            )
    except sqlite3.IntegrityError:
        raise _error("ResourceAlreadyExistsException", "The specified log stream already exists") from None
    return {}


def delete_log_stream(store: LogStore, request: Request) -> Response:
    """Delete a stream with its events."""
    stream = _stream(store, request)
    with store.write() as connection:
        connection.execute("DELETE FROM streams WHERE seq = ?", (stream["seq"],))
    return {}


def put_log_events(store: LogStore, request: Request) -> Response:
    """Append events, which must be in chronological order, as on AWS."""
    events = request["logEvents"]
    if any(after["timestamp"] < before["timestamp"] for before, after in pairwise(events)):
        raise _error(
            "InvalidParameterException",
            "Log events in a single PutLogEvents request must be in chronological order.",
        )
    size = sum(len(event["message"].encode("utf-8", "replace")) + _EVENT_OVERHEAD for event in events)
    if size > _PAGE_BYTES:
        raise _error("InvalidParameterException", f"Upload too large: {size} bytes exceeds limit of {_PAGE_BYTES}")
    stream, moment = _stream(store, request), _millis()
    with store.write() as connection:
        connection.executemany(
            "INSERT INTO events (stream, time, ingested, message) VALUES (?, ?, ?, ?)",
            [(stream["seq"], event["timestamp"], moment, event["message"]) for event in events],
        )
        connection.execute(
            "UPDATE streams SET first = min(coalesce(first, ?1), ?1), last = max(coalesce(last, ?2), ?2), ingested = ?3"
            " WHERE seq = ?4",
            (events[0]["timestamp"], events[-1]["timestamp"], moment, stream["seq"]),
        )
        connection.execute("UPDATE log_groups SET bytes = bytes + ? WHERE seq = ?", (size, stream["log_group"]))
    return {"nextSequenceToken": str(moment)}


def describe_log_groups(store: LogStore, request: Request) -> Response:
    """Groups by name."""
    prefix, after = request.get("logGroupNamePrefix") or "", _decode(request.get("nextToken"), [""])[0]
    limit = request.get("limit") or 50
    rows = store.rows(
        "SELECT * FROM log_groups WHERE substr(name, 1, ?) = ? AND name > ? ORDER BY name LIMIT ?",
        (len(prefix), prefix, after, limit + 1),
    )
    groups = [
        {
            "logGroupName": row["name"], "creationTime": row["created"], "metricFilterCount": 0,
            "arn": f"{_group_arn(row['name'])}:*", "logGroupArn": _group_arn(row["name"]), "storedBytes": row["bytes"],
        }
        for row in rows[:limit]
    ]  # fmt: skip
    more = {"nextToken": _encode([rows[limit - 1]["name"]])} if len(rows) > limit else {}
    return {"logGroups": groups, **more}


def describe_log_streams(store: LogStore, request: Request) -> Response:
    """Streams of a group, by name or by last event."""
    group, limit = _group(store, request), request.get("limit") or 50
    prefix, offset = request.get("logStreamNamePrefix") or "", int(_decode(request.get("nextToken"), [0])[0])
    by_time = request.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise _error("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.")
    way = "DESC" if request.get("descending") else "ASC"
    order = "coalesce(last, created)" if by_time else "name"
    rows = store.rows(
        "SELECT * FROM streams WHERE log_group = ? AND substr(name, 1, ?) = ?"  # noqa: S608
        f" ORDER BY {order} {way}, seq {way} LIMIT ? OFFSET ?",
        (group["seq"], len(prefix), prefix, limit + 1, offset),
    )
    more = {"nextToken": _encode([offset + limit])} if len(rows) > limit else {}
    return {"logStreams": [_stream_summary(group["name"], row) for row in rows[:limit]], **more}


def _stream_summary(group: str, row: sqlite3.Row) -> Response:
    summary = {
        "logStreamName": row["name"],
        "creationTime": row["created"],
        "firstEventTimestamp": row["first"],
        "lastEventTimestamp": row["last"],
        "lastIngestionTime": row["ingested"],
        "uploadSequenceToken": str(row["ingested"] or row["created"]),
        "arn": f"{_group_arn(group)}:log-stream:{row['name']}",
        "storedBytes": 0,
    }
    return {key: value for key, value in summary.items() if value is not None}


def _encode(value: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _decode(token: str | None, default: Position) -> Position:
    if token is None:
        return default
    try:
        value = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
        if isinstance(value, list) and [type(item) for item in value] == [type(item) for item in default]:
            return value
    except ValueError:
        pass
    raise _error("InvalidParameterException", "The specified nextToken is invalid.")


def _fit(rows: list[sqlite3.Row]) -> list[sqlite3.Row]:
    """The first rows that fit into a page's bytes; at least one."""
    size = 0
    for index, row in enumerate(rows):
        size += len(row["message"]) * 2 + _EVENT_OVERHEAD
        if size > _PAGE_BYTES and index:
            return rows[:index]
    return rows


def get_log_events(store: LogStore, request: Request) -> Response:
    """A page of one stream in chronological order. As on AWS, the last page returns the token that it was given."""
    stream = _stream(store, request)
    forward, position = _position(request)
    conditions, values = ["stream = ?"], [stream["seq"]]
    for member, sign in (("startTime", ">="), ("endTime", "<")):
        if request.get(member) is not None:
            conditions.append(f"time {sign} ?")
            values.append(request[member])
    if position is not None:
        conditions.append(f"(time, seq) {'>' if forward else '<'} (?, ?)")
        values.extend(position)
    way = "ASC" if forward else "DESC"
    rows = store.rows(
        f"SELECT * FROM events WHERE {' AND '.join(conditions)} ORDER BY time {way}, seq {way} LIMIT ?",  # noqa: S608
        (*values, request.get("limit") or _PAGE_EVENTS),
    )
    rows = _fit(rows)
    if not forward:
        rows.reverse()
    first = _place(rows[0]) if rows else position or [0, 0]
    last = _place(rows[-1]) if rows else position or [0, 0]
    return {
        "events": [{"timestamp": r["time"], "message": r["message"], "ingestionTime": r["ingested"]} for r in rows],
        "nextForwardToken": f"f/{last[0]}/{last[1]}",
        "nextBackwardToken": f"b/{first[0]}/{first[1]}",
    }


def _place(row: sqlite3.Row) -> list[int]:
    return [row["time"], row["seq"]]


def _position(request: Request) -> tuple[bool, list[int] | None]:
    """The direction to read in, and the position to start at."""
    token = request.get("nextToken")
    if token is None:
        return bool(request.get("startFromHead")), None
    way, _, rest = token.partition("/")
    numbers = rest.split("/")
    if (
        way not in ("f", "b")
        or len(numbers) != 2
        or not all(n.isascii() and n.isdigit() and len(n) < 19 for n in numbers)
    ):
        raise _error("InvalidParameterException", "The specified nextToken is invalid.")
    return way == "f", [int(number) for number in numbers]


def filter_log_events(store: LogStore, request: Request) -> Response:
    """Events of a group's streams that match a pattern of terms, in chronological order or latest first."""
    group, limit = _group(store, request), request.get("limit") or _PAGE_EVENTS
    pattern = request.get("filterPattern") or ""
    matches(pattern, "")  # reject an unsupported pattern even if there are no events
    conditions, values = ["streams.log_group = ?"], [group["seq"]]
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names and prefix:
        raise _error("InvalidParameterException", "logStreamNames and logStreamNamePrefix cannot both be specified.")
    if names:
        conditions.append(f"streams.name IN ({', '.join('?' * len(names))})")
        values.extend(names)
    if prefix:
        conditions.append("substr(streams.name, 1, ?) = ?")
        values.extend([len(prefix), prefix])
    for member, sign in (("startTime", ">="), ("endTime", "<=")):
        if request.get(member) is not None:
            conditions.append(f"events.time {sign} ?")
            values.append(request[member])
    forward = request.get("startFromHead", True)
    time, seq, forward = _decode(request.get("nextToken"), [0 if forward else _LAST, 0, forward])
    sign, way = (">", "ASC") if forward else ("<", "DESC")
    conditions.append(f"(events.time, events.seq) {sign} (?, ?)")
    rows = store.rows(
        "SELECT events.*, streams.name AS stream_name FROM events JOIN streams ON streams.seq = events.stream"  # noqa: S608
        f" WHERE {' AND '.join(conditions)} ORDER BY events.time {way}, events.seq {way} LIMIT ?",
        (*values, time, seq, limit + 1),
    )
    fitting = _fit(rows[:limit])
    events = [_filtered(row) for row in fitting if matches(pattern, row["message"])]
    more = {"nextToken": _encode([*_place(fitting[-1]), forward])} if len(fitting) < len(rows) else {}
    return {"events": events, "searchedLogStreams": [], **more}


def _filtered(row: sqlite3.Row) -> Response:
    return {
        "logStreamName": row["stream_name"],
        "timestamp": row["time"],
        "message": row["message"],
        "ingestionTime": row["ingested"],
        "eventId": str(row["seq"]),
    }


LOG_ACTIONS: dict[str, Callable[[LogStore, Request], Response]] = {
    "CreateLogGroup": create_log_group,
    "DeleteLogGroup": delete_log_group,
    "DescribeLogGroups": describe_log_groups,
    "CreateLogStream": create_log_stream,
    "DeleteLogStream": delete_log_stream,
    "DescribeLogStreams": describe_log_streams,
    "PutLogEvents": put_log_events,
    "GetLogEvents": get_log_events,
    "FilterLogEvents": filter_log_events,
}
"""The supported actions by name."""
