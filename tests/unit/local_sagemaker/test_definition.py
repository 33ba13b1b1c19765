"""The definition language without a server: what is refused, what resolves to what, and that nothing else escapes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_sagemaker.definition import parse
from local_sagemaker.definition.duration import duration_seconds
from local_sagemaker.expressions.conditions import evaluate
from local_sagemaker.expressions.problem import Problem
from local_sagemaker.expressions.values import UnresolvedError, resolve, split_path

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker"
TRAIN = {
    "Name": "Train",
    "Type": "Training",
    "DisplayName": "Training",
    "DependsOn": ["Process"],
    "CacheConfig": {"Enabled": True, "ExpireAfter": "P30D"},
    "RetryPolicies": [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 3}],
    "Arguments": {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/true"],
        },
        "HyperParameters": {"rate": {"Get": "Parameters.Rate"}},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": {"Std:Join": {"On": "/", "Values": [{"Get": "Parameters.Input"}, "train"]}},
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": {"Get": "Parameters.Input"}},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": {"Get": "Parameters.Count"},
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": "arn:aws:iam::123456789012:role/LocalSageMakerRole",
    },
}
PROCESS = {
    "Name": "Process",
    "Type": "Processing",
    "PropertyFiles": [{"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}],
    "Arguments": {
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["/bin/true"]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "report",
                    "S3Output": {
                        "S3Uri": "s3://bucket/report",
                        "LocalPath": "/opt/ml/processing/report",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "RoleArn": "arn:aws:iam::123456789012:role/LocalSageMakerRole",
    },
}
SCORE = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Process.PropertyFiles.Report"}, "Path": "scores[0].value"}}
CHECK = {
    "Name": "Check",
    "Type": "Condition",
    "DependsOn": ["Train"],
    "Arguments": {
        "Conditions": [
            {
                "Type": "Or",
                "Conditions": [
                    {"Type": "GreaterThan", "LeftValue": SCORE, "RightValue": 0.5},
                    {
                        "Type": "Not",
                        "Condition": {"Type": "In", "QueryValue": {"Get": "Parameters.Rate"}, "Values": ["a"]},
                    },
                ],
            }
        ],
        "IfSteps": [],
        "ElseSteps": [
            {"Name": "Fail", "Type": "Fail", "Arguments": {"ErrorMessage": {"Get": "Execution.PipelineExecutionId"}}}
        ],
    },
}
WHOLE: dict[str, Any] = {
    "Version": "2020-12-01",
    "Metadata": {},
    "Parameters": [
        {"Name": "Input", "Type": "String", "DefaultValue": "s3://bucket/input"},
        {"Name": "Rate", "Type": "String", "EnumValues": ["a", "b"]},
        {"Name": "Count", "Type": "Integer", "DefaultValue": 1},
        {"Name": "Share", "Type": "Float", "DefaultValue": 0.5},
        {"Name": "Deep", "Type": "Boolean", "DefaultValue": True},
    ],
    "Steps": [TRAIN, PROCESS, CHECK],
}


class Values:
    """A scope of fixed values."""

    def parameter(self, name: str) -> Any:
        return {"Input": "s3://bucket/input", "Count": 2, "Deep": True, "Rate": "a"}[name]

    def execution(self, name: str) -> str:
        return f"<{name}>"

    def step(self, name: str) -> dict[str, Any]:
        return {
            "ModelArtifacts": {"S3ModelArtifacts": "s3://m"},
            "FinalMetricDataList": [{"MetricName": "auc", "Value": 0.7}],
        }

    def property_file(self, step: str, name: str) -> Any:
        return {"scores": [{"value": 0.8}]}

    def s3_json(self, uri: str) -> Any:
        return {"uri": uri}


def test_whole_definition_is_taken_apart() -> None:
    found = parse(json.dumps(WHOLE))
    assert set(found.steps) == {"Train", "Process", "Check", "Fail"}
    assert found.steps["Train"].needs == {"Process"}
    assert found.steps["Train"].cache_days == 30
    assert found.steps["Check"].needs == {"Train", "Process"}
    assert (found.steps["Fail"].condition, found.steps["Fail"].branch) == ("Check", False)
    assert found.parameters["Count"].parse("7") == 7
    assert found.parameters["Deep"].parse("FALSE") is False
    with pytest.raises(Problem, match="Rate"):
        found.parameters["Rate"].parse("c")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Get": "Parameters.Count"}, 2),
        ({"Get": "Execution.PipelineName"}, "<PipelineName>"),
        ({"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}, "s3://m"),
        ({"Get": "Steps.Train.FinalMetricDataList['auc'].Value"}, 0.7),
        ({"Get": "Steps.Train.FinalMetricDataList[0].MetricName"}, "auc"),
        (
            {"Std:Join": {"On": "-", "Values": ["a", {"Get": "Parameters.Count"}, {"Get": "Parameters.Deep"}]}},
            "a-2-true",
        ),
        (SCORE, 0.8),
        ({"Std:JsonGet": {"S3Uri": {"Get": "Parameters.Input"}, "Path": "uri"}}, "s3://bucket/input"),
        ([{"a": {"Get": "Parameters.Rate"}}], [{"a": "a"}]),
        ({"Get": "Parameters.Rate", "Other": 1}, {"Get": "Parameters.Rate", "Other": 1}),
    ],
)
def test_expressions(expression: Any, value: Any) -> None:
    assert resolve(expression, Values()) == value


REFUSED = [
    ('"Steps.Train.ModelArtifacts.S3ModelArtifacts"', None),
    ("\"Steps.Train.FinalMetricDataList['auc'].Value\"", None),
    ('"Steps.Train.HyperParameters.any"', None),
    ('"Steps.Process.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri"', None),
    ('"Steps.Train.Nothing"', "'Steps.Train.Nothing' in step 'More'.*DescribeTrainingJobResponse has no 'Nothing'"),
    ('"Steps.Train.ModelArtifacts.S3Uri"', "ModelArtifacts has no 'S3Uri'"),
    ('"Steps.Train.TrainingJobName.More"', "TrainingJobName has no 'More'"),
    ('"Steps.Process.PropertyFiles.Report"', None),
    ("NaN", "It is not JSON: NaN"),
    ("1e999", "It is not JSON: the number 1e999 is too large"),
    ('"\\ud800"', "It is not JSON: it contains half of a surrogate pair"),
]


@pytest.mark.parametrize(("left", "named"), REFUSED)
def test_what_can_be_known_of_a_value_is_checked(left: str, named: str | None) -> None:
    value = f'{{"Get": {left}}}' if left.startswith('"Steps') else left
    steps = [TRAIN, PROCESS, condition("LEFT")]
    text = json.dumps({**WHOLE, "Steps": steps}).replace('"LEFT"', value)
    if named is None:
        assert "More" in parse(text).steps
    else:
        with pytest.raises(Problem, match=named):
            parse(text)


def test_property_of_a_condition() -> None:
    more = condition({"Get": "Steps.Check.Result"})
    with pytest.raises(Problem, match="property that a Condition step does not have; it has only Outcome"):
        parse(json.dumps({**WHOLE, "Steps": [TRAIN, PROCESS, CHECK, more]}))


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("Std:Join", {"On": "", "Values": ["a"]}), ("Std:JsonGet", {"Path": "a", "S3Uri": "s3://bucket/key"})],
)
def test_an_unknown_member_of_a_function_is_named(kind: str, argument: dict[str, Any]) -> None:
    unknown = condition({kind: {**argument, "value": {"Get": "Steps"}}})
    with pytest.raises(Problem, match=f"{kind} in step 'More' has the unknown member 'value'"):
        parse(json.dumps({**WHOLE, "Steps": [TRAIN, PROCESS, unknown]}))


def test_parameters_that_are_no_list_are_named() -> None:
    with pytest.raises(Problem, match="Parameters must be a list"):
        parse(json.dumps({**WHOLE, "Parameters": {}}))


def condition(left: Any) -> dict[str, Any]:
    test = {"Type": "Equals", "LeftValue": left, "RightValue": True}
    return {"Name": "More", "Type": "Condition", "Arguments": {"Conditions": [test], "IfSteps": [], "ElseSteps": []}}


def test_missing_property_is_named() -> None:
    with pytest.raises(UnresolvedError, match=r"Steps\.Train\.Nothing"):
        resolve({"Get": "Steps.Train.Nothing"}, Values())


@pytest.mark.parametrize(
    ("kind", "left", "right", "outcome"),
    [
        ("Equals", 1, 1.0, True),
        ("Equals", "1", 1, False),
        ("Equals", True, 1, False),
        ("GreaterThan", 2, 1, True),
        ("GreaterThanOrEqualTo", 1, 1, True),
        ("LessThan", "a", "b", True),
        ("LessThanOrEqualTo", 2, 1, False),
    ],
)
def test_comparisons(kind: str, left: Any, right: Any, outcome: bool) -> None:
    condition = {"Type": kind, "LeftValue": left, "RightValue": right}
    assert evaluate(condition, Values()) is outcome
    assert evaluate({"Type": "Not", "Condition": condition}, Values()) is not outcome


def test_and_or_in() -> None:
    yes, no = ({"Type": "In", "QueryValue": 1, "Values": values} for values in ([2, 1], ["1"]))
    assert evaluate({"Type": "And", "Conditions": [yes, yes]}, Values())
    assert not evaluate({"Type": "And", "Conditions": [yes, no]}, Values())
    assert evaluate({"Type": "Or", "Conditions": [no, yes]}, Values())
    with pytest.raises(UnresolvedError, match="cannot compare"):
        evaluate({"Type": "LessThan", "LeftValue": "a", "RightValue": 1}, Values())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("P30D", 2_592_000), ("30d", 2_592_000), ("PT1H", 3600), ("T16m", 960), ("30dT5h", 2_610_000),
        ("5y", 157_680_000),
    ],
)  # fmt: skip
def test_durations_of_the_guide(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "30", "soon", None, 30, "T", "1d2"])
def test_no_durations(text: Any) -> None:
    assert duration_seconds(text) is None


@pytest.mark.parametrize("text", ["", ".a", "a..b", "a[", "a[x]", "a b", "a['b]"])
def test_no_paths(text: str) -> None:
    with pytest.raises(ValueError):
        split_path(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
EXPRESSION = st.sampled_from(
    [
        {"Get": 1}, {"Get": "Steps"}, {"Get": "Steps.Train."}, {"Get": "Steps.Train.x[y]"}, {"Std:Join": None},
        {"Std:Join": {"On": 1, "Values": []}}, {"Std:JsonGet": {}}, {"Std:JsonGet": {"Path": "", "S3Uri": 1}},
        {"Std:JsonGet": {"Path": "a", "PropertyFile": {"Get": "Parameters.Rate"}}}, {"Get": "Steps.Check.Outcome"},
        {"Get": "Steps.Process.PropertyFiles.Nope"}, {"Get": "Execution.Nope"}, {"Get": "Parameters.Nope"},
    ]
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_mutation_is_parsed_or_refused_with_a_sentence(data: st.DataObject) -> None:
    document = copy.deepcopy(WHOLE)
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(places(document)))
        parent = document
        for key in way:
            parent = parent[key]
        action = data.draw(st.sampled_from(["replace", "expression", "delete", "unknown"]))
        if action == "delete":
            del parent[last]
        elif action == "unknown" and isinstance(parent, dict):
            parent[data.draw(st.text(min_size=1, max_size=5))] = data.draw(JSON)
        else:
            parent[last] = copy.deepcopy(data.draw(EXPRESSION if action == "expression" else JSON))
        if not places(document):
            break
    assert refusal(json.dumps(document)) == "" or len(refusal(json.dumps(document))) > 10


def refusal(text: str) -> str:
    """The sentence of a refusal; anything but a Problem fails the test."""
    try:
        parse(text)
    except Problem as problem:
        return str(problem)
    return ""


@settings(max_examples=200, deadline=None)
@given(text=st.text() | JSON.map(json.dumps))
def test_any_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(Problem, match=r".{10}"):
        parse(text)
