"""Steps that run because another one failed, stopped, or ended at all (the SDK's StepDependency)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import WAITS, Service, condition, training
from .test_pipelines import refused

FAIL = {"Name": "Fail", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}


def after(name: str, *depends_on: Any) -> dict[str, Any]:
    return condition(name, 1, 1, DependsOn=list(depends_on))


def on(step: str, trigger: str) -> dict[str, str]:
    return {"Step": step, "Trigger": trigger}


def run(service: Service, *steps: dict[str, Any]) -> tuple[str, dict[str, str]]:
    arn = service.start(service.create(*steps))
    ended = service.wait(arn, "Stopped", "Failed", "Succeeded", "CompletedWithFailures")
    return ended["PipelineExecutionStatus"], {name: step["StepStatus"] for name, step in service.steps(arn).items()}


def test_a_failure_that_another_step_waits_for(service: Service) -> None:
    status, steps = run(
        service,
        training("Train", "exit 1", service.output),
        after("Deploy", "Train"),
        after("Notify", on("Train", "Failed")),
        after("Report", "Notify"),
        after("Cleanup", on("Train", "Any")),
        after("Unneeded", on("Train", "Stopped")),
    )
    assert status == "CompletedWithFailures"
    assert steps == {"Train": "Failed", "Notify": "Succeeded", "Report": "Succeeded", "Cleanup": "Succeeded"}


def test_nothing_fails(service: Service) -> None:
    status, steps = run(
        service, condition("First", 1, 1), after("Notify", on("First", "Failed")), after("Cleanup", on("First", "Any"))
    )
    assert (status, steps) == ("Succeeded", {"First": "Succeeded", "Cleanup": "Succeeded"})


def test_a_failure_that_no_step_waits_for_fails_the_execution(service: Service) -> None:
    status, steps = run(
        service,
        training("Train", "exit 1", service.output),
        training("Other", "exit 1", service.output),
        after("Notify", on("Train", "Failed"), on("Other", "Any")),
        training("Mail", "exit 1", service.output, DependsOn=[on("Train", "Failed")]),
    )
    assert status == "Failed"  # Mail's own failure is nobody's business
    assert steps == {"Train": "Failed", "Other": "Failed", "Notify": "Succeeded", "Mail": "Failed"}


def test_a_job_that_is_stopped_by_itself(service: Service) -> None:
    name = service.create(training("Train", WAITS, service.output), after("Notify", on("Train", "Stopped")))
    arn = service.start(name)
    service.wait_step(arn, "Train", "Executing")
    service.sagemaker.stop_training_job(TrainingJobName=service.job(arn, "Train")["TrainingJobName"])
    assert service.wait(arn, "Failed", "CompletedWithFailures")["PipelineExecutionStatus"] == "CompletedWithFailures"
    assert {name: step["StepStatus"] for name, step in service.steps(arn).items()} == {
        "Train": "Stopped", "Notify": "Succeeded",
    }  # fmt: skip


def test_a_stop_of_the_execution_triggers_nothing(service: Service) -> None:
    name = service.create(training("Train", WAITS, service.output), after("Notify", on("Train", "Any")))
    arn = service.start(name)
    service.wait_step(arn, "Train", "Executing")
    service.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert service.wait(arn)["PipelineExecutionStatus"] == "Stopped"
    assert list(service.steps(arn)) == ["Train"]


def test_completed_is_the_same_as_a_name(service: Service) -> None:
    status, steps = run(service, condition("First", 1, 1), after("Second", "First", on("First", "Completed")))
    assert (status, steps) == ("Succeeded", {"First": "Succeeded", "Second": "Succeeded"})


@pytest.mark.parametrize(
    ("depends_on", "text"),
    [
        ([{"Step": "First", "Trigger": "Never"}], "Trigger must be one of Completed, Failed, Stopped, Any, found"),
        ([{"Step": "First"}], "Trigger must be one of"),
        ([{"Trigger": "Any"}], "Step must be the name of a step"),
        ([{"Step": "First", "Trigger": "Any", "When": 1}], "unknown member 'When'"),
        ([on("None", "Any")], "depends on step 'None', which does not exist"),
        ([on("Second", "Any")], "depends on itself"),
        ([on("Fail", "Any")], "Second can not depends on Fail"),
        (["First", on("First", "Any")], "has 'First' with more than one Trigger"),
        ([on("First", "Failed"), on("First", "Any")], "has 'First' with more than one Trigger"),
        ([on("First", "Failed"), "First"], "has 'First' with more than one Trigger"),
        ([7], "must be a list of step names, or of objects with Step and Trigger"),
    ],
)
def test_a_broken_dependency(service: Service, depends_on: list[Any], text: str) -> None:
    with refused("ValidationException", text):
        service.create(condition("First", 1, 1), after("Second", *depends_on), FAIL)


def test_properties_of_a_step_that_failed(service: Service) -> None:
    left = {"Get": "Steps.First.Outcome"}
    with refused("ValidationException", "uses properties of step 'First', which exist only after it has completed"):
        service.create(condition("First", 1, 1), condition("Second", left, 1, DependsOn=[on("First", "Any")]))


def test_steps_that_wait_for_each_others_failure(service: Service) -> None:
    with refused("ValidationException", "Its steps form a cycle"):
        service.create(after("A", on("B", "Failed")), after("B", on("A", "Failed")))
