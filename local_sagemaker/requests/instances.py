"""Chooses a job's instance type: the first of its preferences that has capacity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from local_sagemaker.types import Request

NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
"""The service's message, as a job's FailureReason."""

_CLUSTERS = {"training": ("ResourceConfig",), "processing": ("ProcessingResources", "ClusterConfig"), "tuning": ()}
"""The member with the instances in a request of each kind of job; tuning jobs have none."""

Kind = Literal["training", "processing", "tuning"]


@dataclass(frozen=True)
class Capacity:
    """The simulated capacity: all instance types except those of `serve --no-capacity`."""

    without: frozenset[str] = frozenset()

    def choose(self, kind: Kind, request: Request) -> Request:
        """Replace the request's preferences with an instance type; return it unchanged if none has capacity."""
        cluster = _cluster(kind, request)
        for preference in cluster.get("InstancePreferences") or ():
            if preference["InstanceType"] not in self.without:
                others = {key: value for key, value in cluster.items() if key != "InstancePreferences"}
                return _with_cluster(request, _CLUSTERS[kind], others | preference)
        return request

    def can_run(self, kind: Kind, chosen: Request) -> bool:
        """Whether there is capacity for the result of `choose`."""
        cluster = _cluster(kind, chosen)
        return not cluster.get("InstancePreferences") and cluster.get("InstanceType") not in self.without


def with_selection(kind: Kind, request: Request, chosen: Request) -> Request:
    """The request as in Describe: with its preferences and the selected instance type."""
    if chosen is request:
        return request
    found = _cluster(kind, chosen)
    selected = {f"Selected{member}": found.get(member, 1) for member in ("InstanceType", "InstanceCount")}
    return _with_cluster(request, _CLUSTERS[kind], _cluster(kind, request) | selected)


def _cluster(kind: Kind, request: Request) -> Request:
    found = request
    for member in _CLUSTERS[kind]:
        found = found.get(member) or {}
    return found


def _with_cluster(request: Request, path: tuple[str, ...], cluster: Request) -> Request:
    if not path:
        return cluster
    return request | {path[0]: _with_cluster(request[path[0]], path[1:], cluster)}
