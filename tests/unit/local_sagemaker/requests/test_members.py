"""Nothing is silently ignored: each member that botocore's model has is in the table, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker import service_model
from local_sagemaker.actions import ACTIONS
from local_sagemaker.logs import LOG_ACTIONS
from local_sagemaker.requests.checks import refusals
from local_sagemaker.requests.members import MEMBERS, unsupported_members
from local_sagemaker.steps.step_types import STEP_TYPES
from tests.docs.pages import ROOT

OPERATIONS = [*((name, "sagemaker") for name in sorted(ACTIONS)), *((name, "logs") for name in sorted(LOG_ACTIONS))]


def paths(shape: Any, path: str = "") -> Iterator[str]:
    """Every member below a shape, as the table writes it; a map's own keys are its value."""
    if shape.type_name == "list":
        yield from paths(shape.member, f"{path}[]")
    elif shape.type_name == "structure":
        for name, member in shape.members.items():
            here = f"{path}.{name}" if path else name
            yield here
            if path.count(name) < 2:  # a shape that holds itself
                yield from paths(member, here)


def request_with(path: str) -> dict[str, Any]:
    """The smallest request that has a member."""
    name, _, rest = path.partition(".")
    inner: Any = request_with(rest) if rest else {"any": "thing"}
    return {name.removesuffix("[]"): [inner] if name.endswith("[]") else inner}


def test_every_action_is_in_the_table() -> None:
    assert set(MEMBERS) == {name for name, _ in OPERATIONS}
    assert {entry.creates for entry in STEP_TYPES.values()} - {None} <= set(MEMBERS)


@pytest.mark.parametrize(("operation", "service"), OPERATIONS)
def test_every_member_of_the_model_has_its_kind(operation: str, service: str) -> None:
    members, shape = MEMBERS[operation], service_model.input_shape(operation, service)
    known = {*members.structures, *members.leaves, *members.refused}
    unknown = []
    for path in paths(shape):
        above = {path[:end] for end, sign in enumerate(path) if sign in ".["}
        if path not in known and not above & (members.leaves | set(members.refused)):
            unknown.append(path)
    assert unknown == [], "say in local_sagemaker/requests/members.py what becomes of them"


@pytest.mark.parametrize(("operation", "service"), OPERATIONS)
def test_the_table_has_no_member_that_the_model_does_not_have(operation: str, service: str) -> None:
    members = MEMBERS[operation]
    there = set(paths(service_model.input_shape(operation, service)))
    named = {*members.done.split(), *members.kept.split(), *members.without_effect, *members.refused}
    assert named - there == set()
    listed = [*members.done.split(), *members.kept.split(), *members.without_effect, *members.refused]
    assert len(listed) == len(named), "a member has one kind"


@pytest.mark.parametrize(
    ("operation", "path"), [(name, path) for name, _ in OPERATIONS for path in MEMBERS[name].refused]
)
def test_a_refused_member_is_named(operation: str, path: str) -> None:
    (refusal,) = unsupported_members(operation, request_with(path))
    shown = path.replace("[]", "[0]")
    assert refusal == f"{shown} is not supported by the local SageMaker: {MEMBERS[operation].refused[path]}"


@pytest.mark.parametrize("path", ["Tomorrow", "ResourceConfig.Tomorrow", "InputDataConfig[].DataSource.TomorrowSource"])
def test_a_member_of_a_newer_model_is_refused(path: str) -> None:
    (refusal,) = unsupported_members("CreateTrainingJob", request_with(path))
    assert refusal.startswith(f"{path.replace('[]', '[0]')} is not supported by the local SageMaker: it is newer")


@pytest.mark.parametrize("value", [False, None, {}, [], "", {"Get": "Parameters.Isolation"}])
def test_what_asks_for_nothing_or_is_not_known_yet_is_let_by(value: Any) -> None:
    assert not list(unsupported_members("CreateTrainingJob", {"EnableNetworkIsolation": value}))


@pytest.mark.parametrize("path", [path for name in ("CreateTrainingJob",) for path in MEMBERS[name].without_effect])
def test_what_has_no_effect_is_accepted(path: str) -> None:
    assert not list(unsupported_members("CreateTrainingJob", request_with(path)))


@pytest.mark.parametrize(
    ("operation", "describe"),
    [
        ("CreateModel", "DescribeModel"),
        ("CreateModelPackage", "DescribeModelPackage"),
        ("CreateModelPackageGroup", "DescribeModelPackageGroup"),
        ("UpdateModelPackage", "DescribeModelPackage"),
    ],
)
def test_what_is_kept_is_given_back(operation: str, describe: str) -> None:
    assert set(MEMBERS[operation].kept.split()) <= set(service_model.output_shape(describe).members)


PREFERENCES = [{"InstanceType": "ml.g5.xlarge"}, {"InstanceType": "ml.m5.large"}]
ONE_EACH = [{**item, "InstanceCount": 1} for item in PREFERENCES]


@pytest.mark.parametrize(
    ("cluster", "named"),
    [
        ({"InstancePreferences": PREFERENCES, "InstanceCount": 1}, ""),
        ({"InstancePreferences": ONE_EACH}, ""),
        ({"InstancePreferences": ONE_EACH, "InstanceCount": 1}, "either once, or in each"),
        ({"InstancePreferences": PREFERENCES}, "either once, or in each"),
        ({"InstancePreferences": [PREFERENCES[0], ONE_EACH[1]]}, "either once, or in each"),
        ({"InstancePreferences": ONE_EACH[:1] * 2}, "must not repeat an instance type: ml.g5.xlarge"),
        ({"InstancePreferences": ONE_EACH, "InstanceType": "ml.m5.large"}, "together with InstanceType"),
        ({"InstanceType": "ml.trn1.2xlarge", "InstanceCount": 1}, "InstanceType ml.trn1.2xlarge is not supported"),
        ({"InstancePreferences": [{"InstanceType": "ml.inf2.xlarge", "InstanceCount": 1}]}, "[0].InstanceType ml.inf2"),
        ({"InstancePreferences": {"Get": "Parameters.Types"}}, ""),
    ],
)
def test_instance_preferences(cluster: dict[str, Any], named: str) -> None:
    request = {"AlgorithmSpecification": {"ContainerEntrypoint": ["true"]}, "ResourceConfig": cluster}
    found = refusals("CreateTrainingJob", request)
    assert len(found) == bool(named)
    assert named in "".join(found)


def test_fidelity_lists_what_has_no_effect_and_what_is_refused() -> None:
    page = (ROOT / "docs" / "fidelity.md").read_text()
    for operation, members in MEMBERS.items():
        for path, reason in {**members.without_effect, **members.refused}.items():
            assert f"`{path}`" in page, operation
            assert reason in page, operation
