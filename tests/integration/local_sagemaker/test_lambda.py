"""Lambda steps: what they are called with, what they give back, and how they fail."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.jobs.functions import Functions
from local_sagemaker.testing import LocalSageMaker, printed_environment, server_python, start_local_sagemaker

from . import lambda_functions
from .conftest import Service, condition
from .test_callbacks import OUTPUTS
from .test_pipelines import refused

FUNCTIONS = ["double", "names", "raises", "no_json", "text", "leaves", "endless", "waits", "floods"]
MODULE = lambda_functions.__name__


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:123456789012:function:{name}"


def call(name: str, arn: Any = None, **step: Any) -> dict[str, Any]:
    whole = {"Name": "Call", "Type": "Lambda", "FunctionArn": arn or function_arn(name), "OutputParameters": OUTPUTS}
    return {**whole, "Arguments": {}, **step}


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    options = [item for name in FUNCTIONS for item in ("--lambda", f"{function_arn(name)}={MODULE}:{name}")]
    options += ["--lambda", f"{function_arn('lost')}=no_such_module:handler"]
    server = start_local_sagemaker(tmp_path_factory.mktemp("functions") / "data", *options)
    yield Service(server)
    server.stop()


def failure(service: Service, step: dict[str, Any]) -> str:
    arn = service.start(service.create(step))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    return str(service.steps(arn)["Call"]["FailureReason"])


def test_what_a_function_returns_is_the_steps_output(functions: Service) -> None:
    event = {"count": {"Get": "Parameters.Count"}, "fixed": [1, {"a": None}]}
    right = {"verdict": "yes", "count": 6, "share": 0.5, "good": True}
    tests = [
        {"Type": "Equals", "LeftValue": {"Get": f"Steps.Call.OutputParameters['{name}']"}, "RightValue": value}
        for name, value in right.items()
    ]
    check = {"Name": "Check", "Type": "Condition", "Arguments": {"Conditions": tests, "IfSteps": [], "ElseSteps": []}}
    count = {"Name": "Count", "Type": "Integer", "DefaultValue": 3}
    arn = functions.start(functions.create(call("double", Arguments=event), check, parameters=[count]))
    assert functions.wait(arn)["PipelineExecutionStatus"] == "Succeeded", functions.steps(arn)
    steps = functions.steps(arn)
    assert steps["Check"]["Metadata"]["Condition"]["Outcome"] == "True"
    told = steps["Call"]["Metadata"]["Lambda"]
    assert told["Arn"] == function_arn("double")
    assert {item["Name"]: item["Value"] for item in told["OutputParameters"]} == {
        "verdict": "yes", "count": "6", "share": "0.5", "good": "true",
    }  # fmt: skip
    logs = functions.server.client("logs")
    lines = [event["message"] for event in logs.filter_log_events(logGroupName="/aws/lambda/double")["events"]]
    assert lines == ["called with ['count', 'fixed'] as double, 599 s left"]


def test_boto3_in_a_function_reaches_the_local_server(functions: Service) -> None:
    check = condition("Check", {"Get": "Steps.Call.OutputParameters['verdict']"}, "Executing")
    step = call("names", Arguments={"execution": {"Get": "Execution.PipelineExecutionArn"}})
    arn = functions.start(functions.create(step, check))
    assert functions.wait(arn)["PipelineExecutionStatus"] == "Succeeded", functions.steps(arn)
    assert functions.steps(arn)["Check"]["Metadata"]["Condition"]["Outcome"] == "True"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("raises", "ValueError: no such customer"),
        ("no_json", "TypeError: Object of type set is not JSON serializable"),
        ("text", "the step declares OutputParameters, so it must return an object, found str"),
        ("leaves", "Runtime exited with status 7 and without a result"),
        ("lost", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_function_that_fails(functions: Service, name: str, text: str) -> None:
    assert failure(functions, call(name)) == f"ClientError: Lambda function {function_arn(name)} failed: {text}"


def test_a_value_of_another_type_fails_the_step(functions: Service) -> None:
    outputs = [{"OutputName": "verdict", "OutputType": "Integer"}]
    reason = failure(functions, call("double", Arguments={"count": 1}, OutputParameters=outputs))
    assert reason.endswith("Output parameter 'verdict' must be of type Integer, found 'yes'")


def test_a_flood_of_output_is_bounded(functions: Service) -> None:
    arn = functions.start(functions.create(call("floods")))
    assert functions.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    logs = functions.server.client("logs")
    [stream] = logs.describe_log_streams(logGroupName="/aws/lambda/floods")["logStreams"]
    last = logs.get_log_events(logGroupName="/aws/lambda/floods", logStreamName=stream["logStreamName"], limit=1)
    assert last["events"][0]["message"] == "(the rest of the log is not kept)"


def test_an_execution_that_stops_waits_for_its_function(functions: Service, tmp_path: Path) -> None:
    file = tmp_path / "go"
    arn = functions.start(
        functions.create(call("waits", Arguments={"file": str(file)}), condition("After", 1, 1, DependsOn=["Call"]))
    )
    functions.wait_step(arn, "Call", "Executing")
    functions.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    functions.wait_step(arn, "Call", "Stopping")
    file.touch()
    assert functions.wait(arn)["PipelineExecutionStatus"] == "Stopped"
    assert {name: step["StepStatus"] for name, step in functions.steps(arn).items()} == {"Call": "Stopped"}


def test_a_function_that_this_server_does_not_know(functions: Service) -> None:
    other = function_arn("other")
    with refused(
        "ValidationException", f"function '{other}' is not known to the local SageMaker.*serve --lambda '{other}="
    ):
        functions.create(call("other"))
    name = {"Name": "Function", "Type": "String", "DefaultValue": other}
    arn = functions.start(functions.create(call("", {"Get": "Parameters.Function"}), parameters=[name]))
    assert functions.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert f"'{other}' is not known" in functions.steps(arn)["Call"]["FailureReason"]


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (call("double", arn="double"), "FunctionArn of step 'Call' must be an ARN such as"),
        ({"Name": "Call", "Type": "Lambda", "Arguments": {}}, "FunctionArn of step 'Call' must be an ARN such as"),
        (call("double", OutputParameters=[{"OutputName": "a"}]), "OutputType of 'a' must be one of"),
        (call("double", SqsQueueUrl="x"), "step 'Call' has the unknown member 'SqsQueueUrl'"),
    ],
)
def test_a_broken_lambda_step(functions: Service, step: dict[str, Any], text: str) -> None:
    with refused("ValidationException", text):
        functions.create(step)


@pytest.mark.parametrize(
    "text", ["double=m:f", f"{function_arn('f')}", f"{function_arn('f')}=m.f", f"{function_arn('f')}=m:f;x"]
)
def test_a_wrong_option(tmp_path: Path, text: str) -> None:
    with pytest.raises(RuntimeError, match="must be ARN=MODULE:FUNCTION"):
        start_local_sagemaker(tmp_path / "data", "--lambda", text)


def test_a_function_that_hangs_is_ended(functions: Service, tmp_path: Path) -> None:
    arn = function_arn("endless")
    made = Functions(
        {arn: f"{MODULE}:endless"}, data_dir=tmp_path, python="python", client_env=functions.server.env, max_seconds=3
    )
    outcome = made.call(arn, "{}", str(uuid.uuid4()))
    assert (outcome.failure, outcome.timed_out) == ("Task timed out after 3.00 seconds", True)
    assert list((tmp_path / "functions").iterdir()) == []


SHORT = """
import sys
from local_sagemaker.__main__ import main
from local_sagemaker.jobs.functions import Functions
Functions.__init__.__kwdefaults__["max_seconds"] = 2
sys.exit(main(sys.argv[1:]))
"""
"""A server whose functions have two seconds, not ten minutes."""


def test_a_function_that_hangs_in_an_execution_that_stops_fails_it(tmp_path: Path) -> None:
    arguments = ["serve", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    arguments += ["--lambda", f"{function_arn('endless')}={MODULE}:endless"]
    process = subprocess.Popen([server_python(), "-c", SHORT, *arguments], stdout=subprocess.PIPE, text=True)
    server = LocalSageMaker(process, printed_environment(process), tmp_path / "data")
    try:
        service = Service(server)
        arn = service.start(service.create(call("endless")))
        service.wait_step(arn, "Call", "Executing")
        service.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
        assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
        assert "Task timed out after 2.00 seconds" in service.steps(arn)["Call"]["FailureReason"]
    finally:
        server.stop()
