"""Tuning jobs: what they try, how they end, how they are read and stopped, and the step of a pipeline."""

from __future__ import annotations

import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from local_sagemaker.store.retention import collect

from .conftest import IMAGE, ROLE, Service, condition, poll
from .test_pipelines import refused
from .tuner import tuner

__all__ = ["tuner"]

RATE = {"Name": "rate", "MinValue": "0", "MaxValue": "1"}
SIZE = {"Name": "size", "MinValue": "1", "MaxValue": "9", "ScalingType": "Logarithmic"}
KIND = {"Name": "kind", "Values": ["a", "b"]}
ENDED = ("Completed", "Failed", "Stopped")


def request(service: Service, *, strategy: str = "Random", mode: str = "run", **config: Any) -> dict[str, Any]:
    """A tuning job's request without its name."""
    ranges = {"ContinuousParameterRanges": [RATE], "IntegerParameterRanges": [SIZE]}
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": ranges,
            "RandomSeed": 7,
        }
        | config,
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"mode": mode},
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.e-]+)"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": service.output},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    }


def limits(number: int, at_once: int) -> dict[str, Any]:
    return {"ResourceLimits": {"MaxNumberOfTrainingJobs": number, "MaxParallelTrainingJobs": at_once}}


def create(service: Service, **changes: Any) -> str:
    name = f"tune-{uuid.uuid4().hex[:12]}"
    service.sagemaker.create_hyper_parameter_tuning_job(HyperParameterTuningJobName=name, **request(service, **changes))
    return name


def wait(service: Service, name: str, done: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
    return poll(
        lambda: service.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        done or (lambda answer: answer["HyperParameterTuningJobStatus"] in ENDED),
    )


def jobs(service: Service, name: str, **members: Any) -> list[dict[str, Any]]:
    answer = service.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, **members
    )
    return answer["TrainingJobSummaries"]


def test_a_tuning_job(tuner: Service) -> None:
    name = create(tuner)
    ended = wait(tuner, name)
    assert ended["HyperParameterTuningJobStatus"] == "Completed", ended
    assert ended["TrainingJobStatusCounters"] == {
        "Completed": 2, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0,
    }  # fmt: skip
    assert ended["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 0}
    found = jobs(tuner, name, SortBy="FinalObjectiveMetricValue")
    losses = [job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for job in found]
    assert losses == sorted(losses)
    assert ended["BestTrainingJob"] == found[0]
    for job, loss in zip(found, losses, strict=True):
        assert job["TrainingJobName"].startswith(f"{name}-00")
        assert loss == pytest.approx(abs(float(job["TunedHyperParameters"]["rate"]) - 0.5), rel=1e-5)
        described = tuner.sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])
        assert described["TuningJobArn"] == ended["HyperParameterTuningJobArn"]
        assert described["HyperParameters"] == {
            "mode": "run", "_tuning_objective_metric": "loss", **job["TunedHyperParameters"],
        }  # fmt: skip
    [listed] = tuner.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"]
    assert (listed["Strategy"], listed["HyperParameterTuningJobStatus"]) == ("Random", "Completed")
    assert listed["TrainingJobStatusCounters"]["Completed"] == 2


def test_the_seed_gives_the_same_values_again(tuner: Service) -> None:
    names = [create(tuner) for _ in range(2)]
    first, second = ([job["TunedHyperParameters"] for job in sorted_jobs(tuner, name)] for name in names)
    assert first == second


def sorted_jobs(service: Service, name: str) -> list[dict[str, Any]]:
    wait(service, name)
    return jobs(service, name, SortBy="CreationTime")


def test_bayesian_keeps_to_its_parallel_jobs(tuner: Service) -> None:
    name = create(tuner, strategy="Bayesian", **limits(5, 2))
    assert wait(tuner, name)["HyperParameterTuningJobStatus"] == "Completed"
    found = jobs(tuner, name, SortBy="CreationTime")
    assert len(found) == 5
    for job in found:
        before = [other for other in found if other["CreationTime"] < job["CreationTime"]]
        assert sum(other["TrainingEndTime"] > job["CreationTime"] for other in before) < 2


def test_grid_tries_all_combinations(tuner: Service) -> None:
    """With the resources in the member in which SDK v2 gives them."""
    other = {"Name": "color", "Values": ["red", "green"]}
    limit = {"ResourceLimits": {"MaxParallelTrainingJobs": 4}}
    ranges = {"ParameterRanges": {"CategoricalParameterRanges": [KIND, other]}}
    grid = request(tuner, strategy="Grid", **limit, **ranges)
    definition = grid["TrainingJobDefinition"]
    definition["HyperParameterTuningResourceConfig"] = definition.pop("ResourceConfig")
    name = f"tune-{uuid.uuid4().hex[:12]}"
    tuner.sagemaker.create_hyper_parameter_tuning_job(HyperParameterTuningJobName=name, **grid)
    assert wait(tuner, name)["HyperParameterTuningJobStatus"] == "Completed"
    found = {tuple(sorted(job["TunedHyperParameters"].items())) for job in jobs(tuner, name)}
    assert len(found) == 4


def test_stop_and_delete(tuner: Service) -> None:
    name = create(tuner, mode="wait")
    poll(
        lambda: jobs(tuner, name, StatusEquals="InProgress"),
        lambda found: len(found) == 2 and all("TrainingStartTime" in job for job in found),
    )
    with refused("ResourceInUse", "is in status InProgress"):
        tuner.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    tuner.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert wait(tuner, name)["HyperParameterTuningJobStatus"] == "Stopped"
    [first, second] = jobs(tuner, name)
    assert (first["TrainingJobStatus"], second["TrainingJobStatus"]) == ("Stopped", "Stopped")
    with refused("ValidationException", "hyperparameter tuning job is in status Stopped"):
        tuner.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    tuner.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with refused("ResourceNotFound", name):
        tuner.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    tuner.sagemaker.describe_training_job(TrainingJobName=first["TrainingJobName"])  # stays, as on AWS


def test_training_jobs_that_fail(tuner: Service) -> None:
    ended = wait(tuner, create(tuner, mode="fail", **limits(9, 1)))
    assert ended["HyperParameterTuningJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("No training job succeeded after 5 attempts.")
    assert ended["TrainingJobStatusCounters"]["NonRetryableError"] == 5


def test_training_jobs_without_the_metric(tuner: Service) -> None:
    ended = wait(tuner, create(tuner, mode="silent"))
    assert ended["HyperParameterTuningJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("No objective metrics found after running 2 training jobs.")
    assert "BestTrainingJob" not in ended


def test_a_target_that_is_reached_ends_the_search(tuner: Service) -> None:
    criteria = {"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.6}}
    name = create(tuner, **limits(5, 1), **criteria)
    assert wait(tuner, name)["HyperParameterTuningJobStatus"] == "Completed"
    assert len(jobs(tuner, name)) == 1


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *outer, last = path.split(".")
        for name in outer:
            document = document[name]
        if value is None:
            del document[last]
        else:
            document[last] = value

    return change


WARM_START = {
    "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "a"}], "WarmStartType": "TransferLearning",
}  # fmt: skip
CONFIG, DEFINITION = "HyperParameterTuningJobConfig", "TrainingJobDefinition"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (changed(f"{CONFIG}.Strategy", "Hyperband"), "Strategy Hyperband is not supported .* use Bayesian, Random or"),
        (changed(f"{CONFIG}.Strategy", "Grid"), "The strategy Grid accepts only categorical hyperparameters"),
        (changed(f"{CONFIG}.HyperParameterTuningJobObjective", None), "HyperParameterTuningJobObjective must be"),
        (changed(f"{CONFIG}.HyperParameterTuningJobObjective.MetricName", "auc"), "'auc' must be one of .* found loss"),
        (changed(f"{DEFINITION}.AlgorithmSpecification.MetricDefinitions", None), "'loss' must be one of .* none"),
        (changed(f"{CONFIG}.ParameterRanges", None), "ParameterRanges must be specified"),
        (changed(f"{CONFIG}.ParameterRanges", {}), "must have at least one hyperparameter"),
        (changed(f"{CONFIG}.ParameterRanges.ContinuousParameterRanges", [RATE | {"MinValue": "2"}]), "2.0 must not be"),
        (changed(f"{CONFIG}.ParameterRanges.AutoParameters", [{"Name": "x", "ValueHint": "1"}]), "AutoParameters is"),
        (changed(f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs", None), "MaxNumberOfTrainingJobs must be"),
        (changed(f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs", 10_001), "10001 is more than the 10000"),
        (changed(f"{CONFIG}.ResourceLimits.MaxParallelTrainingJobs", 101), "101 is more than the 100"),
        (changed(DEFINITION, None), "TrainingJobDefinition must be specified"),
        (changed(f"{DEFINITION}.ResourceConfig", None), "Exactly one of ResourceConfig and HyperParameterTuning"),
        (changed(f"{DEFINITION}.StaticHyperParameters", {"rate": "1"}), "both in ParameterRanges and .*: rate"),
        (changed(f"{DEFINITION}.AlgorithmSpecification.TrainingImage", "mine:1"), "TrainingImage 'mine:1' is not"),
        (changed(f"{DEFINITION}.AlgorithmSpecification.TrainingInputMode", "Pipe"), "TrainingInputMode Pipe is not"),
        (changed(f"{DEFINITION}.EnableNetworkIsolation", True), f"{DEFINITION}.EnableNetworkIsolation is not"),
        (changed(f"{DEFINITION}.StoppingCondition.MaxWaitTimeInSeconds", 9), "Invalid MaxWaitTimeInSeconds"),
        (changed("WarmStartConfig", WARM_START), "WarmStartConfig is not supported"),
        (changed("Autotune", {"Mode": "Enabled"}), "Autotune is not supported"),
        (changed(f"{DEFINITION}.InputDataConfig", [{"ChannelName": "train", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": "s3://nowhere/data"}}}]), "No S3 objects found under S3 URL"),
    ],
)  # fmt: skip
def test_a_broken_request(tuner: Service, change: Callable[[dict[str, Any]], None], text: str) -> None:
    broken = request(tuner)
    change(broken)
    with refused("ValidationException", text):
        tuner.sagemaker.create_hyper_parameter_tuning_job(HyperParameterTuningJobName="broken", **broken)


def test_a_name_is_given_once_and_a_missing_one_is_not_found(tuner: Service) -> None:
    name = create(tuner)
    with refused("ResourceInUse", "Hyperparameter tuning job names must be unique"):
        tuner.sagemaker.create_hyper_parameter_tuning_job(HyperParameterTuningJobName=name, **request(tuner))
    with refused("ResourceNotFound", "can't find a tuning job with the name none"):
        tuner.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="none")
    with refused("ResourceNotFound", "none"):
        jobs(tuner, "none")
    wait(tuner, name)


def test_without_the_toolkit_a_tuning_job_says_how_to_get_it(service: Service) -> None:
    text = "TrainingJobDefinition.AlgorithmSpecification without ContainerEntrypoint .* pip install sagemaker-training"
    with refused("ValidationException", text):
        service.sagemaker.create_hyper_parameter_tuning_job(HyperParameterTuningJobName="x", **request(service))
    with refused("ValidationException", f"Step 'Tune': {text}"):
        service.create(step(service))


def step(service: Service, **changes: Any) -> dict[str, Any]:
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"}}
    return {"Name": "Tune", "Type": "Tuning", "Arguments": request(service, **changes), **cached}


def test_a_step_of_a_pipeline(tuner: Service) -> None:
    tune = step(tuner)
    tune["Arguments"]["HyperParameterTuningJobConfig"]["ParameterRanges"]["ContinuousParameterRanges"] = [
        RATE | {"MaxValue": {"Get": "Parameters.Most"}}
    ]
    best = "Steps.Tune.TrainingJobSummaries[0]"
    model = {"Std:Join": {"On": "/", "Values": [tuner.output, {"Get": f"{best}.TrainingJobName"}, "output"]}}
    same = condition("Same", {"Get": "Steps.Tune.BestTrainingJob.TrainingJobName"}, {"Get": f"{best}.TrainingJobName"})
    fail = {"Name": "Fail", "Type": "Fail", "Arguments": {"ErrorMessage": model}, "DependsOn": ["Same"]}
    most = {"Name": "Most", "Type": "String", "DefaultValue": "0.25"}
    pipeline = tuner.create(tune, same, fail, parameters=[most])
    arns = []
    for _ in range(2):
        arns.append(tuner.start(pipeline))
        assert tuner.wait(arns[-1])["PipelineExecutionStatus"] == "Failed"  # by the Fail step
    first, second = (tuner.steps(arn) for arn in arns)
    name = first["Tune"]["Metadata"]["TuningJob"]["Arn"].rsplit("/", 1)[-1]
    assert len(name) <= 32
    assert name.startswith(f"{arns[0].rsplit('/', 1)[-1]}-Tune-")
    best_job = wait(tuner, name)["BestTrainingJob"]["TrainingJobName"]
    assert first["Fail"]["FailureReason"] == f"{tuner.output}/{best_job}/output"
    assert first["Same"]["Metadata"]["Condition"]["Outcome"] == "True"
    assert all(float(job["TunedHyperParameters"]["rate"]) <= 0.25 for job in jobs(tuner, name))
    assert second["Tune"]["CacheHitResult"] == {"SourcePipelineExecutionArn": arns[0]}


def test_stop_of_an_execution_stops_its_tuning_job(tuner: Service) -> None:
    arn = tuner.start(tuner.create(step(tuner, mode="wait")))
    tune = tuner.wait_step(arn, "Tune", "Executing")
    name = tune["Metadata"]["TuningJob"]["Arn"].rsplit("/", 1)[-1]
    poll(lambda: jobs(tuner, name), lambda found: any("TrainingStartTime" in job for job in found))
    tuner.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert tuner.wait(arn)["PipelineExecutionStatus"] == "Stopped"
    assert wait(tuner, name)["HyperParameterTuningJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Steps.Tune.TrainingJobSummaries[0].Loss", "has no 'Loss'"),
        ("Steps.Tune.BestJob", "DescribeHyperParameterTuningJobResponse has no 'BestJob'"),
    ],
)
def test_a_property_that_a_tuning_step_does_not_have(tuner: Service, path: str, text: str) -> None:
    with refused("ValidationException", text):
        tuner.create(step(tuner), condition("Check", {"Get": path}, 1))


def test_a_broken_step_is_refused_with_its_definition(tuner: Service) -> None:
    with refused("ValidationException", "Step 'Tune': .*MinValue 2.0 must not be greater"):
        broken = step(tuner, ParameterRanges={"ContinuousParameterRanges": [RATE | {"MinValue": "2"}]})
        tuner.create(broken)


def test_gc_forgets_a_tuning_job_with_its_training_jobs(tuner: Service) -> None:
    name = create(tuner)
    wait(tuner, name)
    trials = [job["TrainingJobName"] for job in jobs(tuner, name)]
    found = collect(tuner.server.data_dir, older_than_seconds=-60, dry_run=False)
    assert found.jobs >= 3
    with refused("ResourceNotFound", name):
        tuner.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    for trial in trials:
        with refused("ValidationException", "Requested resource not found"):
            tuner.sagemaker.describe_training_job(TrainingJobName=trial)
        assert not (tuner.server.data_dir / "jobs" / "training" / trial).exists()


def test_the_pages_show_a_tuning_job(tuner: Service) -> None:
    name = create(tuner)
    wait(tuner, name)
    with urllib.request.urlopen(f"{tuner.server.endpoint_url}/ui/jobs/tuning/{name}") as answer:
        text = answer.read().decode()
    for job in jobs(tuner, name):
        assert job["TrainingJobName"] in text
        assert job["TunedHyperParameters"]["rate"] in text
