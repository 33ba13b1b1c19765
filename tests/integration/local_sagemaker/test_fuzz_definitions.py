"""Definitions broken in one place: refused by name or run to an end that has a reason, never a 500."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import IMAGE, ROLE, Service, condition, training
from .test_jobs_and_models import processing

Document = dict[str, Any]
Path = tuple[str | int, ...]

ODD_VALUES: list[Any] = [
    None, True, 0, 7, -1, 10**30, 1e308, float("nan"), float("inf"), "", "x", "x" * 70, "x" * 5000, "é" * 300, "\x00",
    "\ud800", "\u2028", "../../etc", "s3://", "s3://no-such-bucket/a", "P1D", [], {}, [[]], [None], ["x"], {"x": 1},
    {"Get": 7}, {"Get": ""}, {"Get": "Parameters"}, {"Get": "Parameters.None"}, {"Get": "Parameters.Text"},
    {"Get": "Parameters.Count"}, {"Get": "Steps.None.X"}, {"Get": "Steps.Report"}, {"Get": "Steps.Report.None.X[3]"},
    {"Get": "Steps.Report.ProcessingJobName"}, {"Get": "Steps.Check.Outcome"},
    {"Get": "Execution.None"}, {"Get": "Execution.PipelineArn"}, {"Get": "Steps.Report.PropertyFiles.None"},
    {"Std:Join": {}}, {"Std:Join": {"On": "/", "Values": [{"Get": "Parameters.Count"}, None, {}]}},
    {"Std:JsonGet": {}}, {"Std:JsonGet": {"S3Uri": "s3://no-such-bucket/a", "Path": "a[0]"}},
    {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Report.PropertyFiles.Report"}, "Path": "a[99999999999]"}},
    {"Get": "Parameters.Text", "x": 1},
]  # fmt: skip


def seeds(output: str) -> list[Document]:
    """Valid definitions that use all of the language; the first runs jobs, the others none."""
    text = {"Name": "Text", "Type": "String", "DefaultValue": "red", "EnumValues": ["red", "green"]}
    count = {"Name": "Count", "Type": "Integer", "DefaultValue": 3}
    parameters = [text, count, {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5}]
    report = processing("Report", "echo '{\"a\": 1}' > /opt/ml/processing/report/report.json", f"{output}/fuzz")
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Report.PropertyFiles.Report"}, "Path": "a"}}
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": {"Get": "Steps.Report.ProcessingOutputConfig.Outputs['report'].S3Output.S3Uri"},
    }
    train = training(
        "Train", "echo loss=1", {"Std:Join": {"On": "/", "Values": [output, {"Get": "Parameters.Text"}]}},
        Arguments={
            "InputDataConfig": [{"ChannelName": "report", "DataSource": {"S3DataSource": source}}],
            "HyperParameters": {"text": {"Get": "Parameters.Text"}},
            "EnableManagedSpotTraining": False,
        },
        CacheConfig={"Enabled": True, "ExpireAfter": "P30D"},
        RetryPolicies=[{"ExceptionType": ["Step.THROTTLING"], "IntervalSeconds": 1, "MaxAttempts": 2}],
        DisplayName="training", Description="trains",
    )  # fmt: skip
    model = {"Image": IMAGE, "ModelDataUrl": "s3://no-such-bucket/model.tar.gz"}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {"ModelPackageGroupName": "fuzz", "InferenceSpecification": {"Containers": [model]}},
    }
    made = {"Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": model, "ExecutionRoleArn": ROLE}}
    fail = {
        "Name": "Fail",
        "Type": "Fail",
        "Arguments": {"ErrorMessage": {"Std:Join": {"On": " ", "Values": ["no", 1]}}},
    }
    tests = [
        {"Type": "In", "QueryValue": {"Get": "Parameters.Text"}, "Values": ["red", "blue"]},
        {
            "Type": "Not",
            "Condition": {"Type": "GreaterThan", "LeftValue": {"Get": "Parameters.Count"}, "RightValue": 5},
        },
        {"Type": "Or", "Conditions": [{"Type": "LessThanOrEqualTo", "LeftValue": 1, "RightValue": 2}]},
    ]
    check = condition("Check", 1, 1, IfSteps=[condition("Inner", 1, 1)], ElseSteps=[fail], DependsOn=["First"])
    check["Arguments"]["Conditions"] = tests
    documents: list[list[Document]] = [
        [report, train, condition("Check", value, 1, DependsOn=["Train"])],
        [condition("First", {"Get": "Parameters.Rate"}, 0.5), check],
        [made, register, condition("Last", {"Get": "Steps.Model.ModelName"}, "x")],
    ]
    return [{"Version": "2020-12-01", "Metadata": {}, "Parameters": parameters, "Steps": steps} for steps in documents]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


def at(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


def texts(value: Any) -> Iterator[str]:
    """Every text inside a value, such as what an expression refers to."""
    if isinstance(value, str) and value:
        yield value[:50]
    for path in paths(value):
        if isinstance(at(value, path), str) and at(value, path):
            yield at(value, path)[:50]


def is_step(value: Any) -> bool:
    return isinstance(value, dict) and "Arguments" in value


@dataclass
class Broken:
    """A definition, and the words of which a refusal must have one."""

    document: Document
    words: set[str]


def words_of(document: Document, path: Path, value: Any) -> set[str]:
    """The last members of a path, the names of the steps and parameters that it goes through, and the value itself."""
    found = {str(key) for key in [key for key in path if isinstance(key, str)][-3:]} - {"Steps", "Arguments"}
    found |= {str(path[-1])} if isinstance(path[-1], str) else {f"{path[-2]}[{path[-1]}]" if len(path) > 1 else ""}
    for length in range(len(path) + 1):
        inside = at(document, path[:length])
        if isinstance(inside, dict):
            found |= {str(inside[key]) for key in ("Name", "PropertyFileName", "Type") if inside.get(key)}
    if isinstance(value, str) and 0 < len(value) < 100:
        found.add(value)
    return {word for word in found if word}


@st.composite
def broken(draw: st.DrawFn, documents: list[Document]) -> Broken:
    document = json.loads(json.dumps(draw(st.sampled_from(documents))))  # no part of it shared with another
    places = list(paths(document))
    path = draw(st.sampled_from(places))
    holder, key = at(document, path[:-1]), path[-1]
    words = words_of(document, path, holder[key])
    how = draw(st.sampled_from(["drop", "rename", "value", "value", "value", "copy", "duplicate", "need"]))
    if how == "drop":
        del holder[key]
    elif how == "rename" and isinstance(holder, dict):
        other = draw(st.sampled_from([f"{key}X", str(key).lower(), "", "\x00", "x" * 300]))
        holder[other] = holder.pop(key)
        words.add(other[:50])
    elif how == "copy":
        holder[key] = copy.deepcopy(at(document, draw(st.sampled_from(places))))
        words |= set(texts(holder[key]))
    elif how == "duplicate" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif how == "need":
        steps = [
            place for place in places if isinstance(at(document, place), dict) and "Arguments" in at(document, place)
        ]
        step, other = (at(document, draw(st.sampled_from(steps))) for _ in range(2))
        step["DependsOn"] = [other["Name"], *draw(st.sampled_from([[], ["None"], [other["Name"]], [7]]))]
        words |= {step["Name"], other["Name"]}
    else:
        holder[key] = draw(st.sampled_from(ODD_VALUES))
        words |= {json.dumps(holder[key])[:50].strip('"'), *texts(holder[key])}
    return Broken(document, words)


def check(service: Service, case: Broken) -> bool:
    """Whether it was accepted; then it has run to an end with a reason."""
    name, text = f"fuzz-{uuid.uuid4().hex[:12]}", json.dumps(case.document)
    try:
        service.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
    except ClientError as error:
        refusal = error.response["Error"]
        assert refusal["Code"] == "ValidationException", refusal
        assert any(word.lower() in refusal["Message"].lower() for word in case.words), (refusal, case.words)
        return False
    arn = service.start(name, PipelineParameters=given_parameters(case.document))
    ended = service.wait(arn)
    failed = [step for step in service.steps(arn).values() if step["StepStatus"] == "Failed"]
    if ended["PipelineExecutionStatus"] == "Failed":
        assert ended["FailureReason"]
        assert failed
        assert all(step.get("FailureReason") or "Fail" in step["Metadata"] for step in failed), failed
        assert not any("InternalFailure" in step.get("FailureReason", "") for step in failed), failed
    else:
        assert (ended["PipelineExecutionStatus"], failed) == ("Succeeded", [])
    service.sagemaker.delete_pipeline(PipelineName=name)
    return True


def given_parameters(document: Document) -> list[dict[str, str]]:
    """Values for the parameters that have no default any more."""
    values = {"String": "x", "Integer": "1", "Float": "1.5", "Boolean": "true"}
    return [
        {"Name": item["Name"], "Value": str((item.get("EnumValues") or [values[item["Type"]]])[0])}
        for item in document.get("Parameters") or []
        if item.get("DefaultValue") is None
    ]


def fuzz(service: Service, cases: int) -> None:
    documents, accepted = seeds(service.output), []

    @settings(max_examples=cases, deadline=None, suppress_health_check=list(HealthCheck))
    @given(broken(documents))
    def run(case: Broken) -> None:
        accepted.append(check(service, case))

    run()
    assert any(accepted)
    assert not all(accepted)


def test_seeds_are_valid(service: Service) -> None:
    for document in seeds(service.output):
        assert check(service, Broken(document, set())), document


def test_definitions_broken_in_one_place(service: Service) -> None:
    fuzz(service, 80)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_definitions_broken_in_one_place(service: Service) -> None:
    fuzz(service, 3000)
