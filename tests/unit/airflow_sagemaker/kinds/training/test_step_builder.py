"""The training step that the builder makes, element by element, without any call to AWS."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import ModelHyperparameters, PytorchTrainingConfig
from airflow_sagemaker.config.request_shapes import create_training_job_shape, shape_violations
from airflow_sagemaker.exceptions import ConfigurationError
from tests.support.config_samples import PATHS, ROLE, TABLE, settings

pytestmark = pytest.mark.skipif(find_spec("sagemaker") is None, reason="the SageMaker SDK is not installed")
SDK_CONFIG = f"""
SchemaVersion: '1.0'
SageMaker:
  PythonSDK: {{Modules: {{Session: {{DefaultS3Bucket: session-bucket}}}}}}
  TrainingJob: {{RoleArn: {ROLE}}}
"""


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A region, no credentials, and an endpoint where nobody listens: a call to AWS would fail."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", str(tmp_path / "sdk.yaml"))
    (tmp_path / "sdk.yaml").write_text(SDK_CONFIG)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text("print('hello')\n")
    return folder


class Uploads:
    """Keeps what would be uploaded, in place of S3."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def upload(self, files: dict[str, bytes], bucket: str, prefix: str) -> None:
        self.files |= {f"s3://{bucket}/{prefix}/{name}": content for name, content in files.items()}


def build(source: Path, **changes: Any) -> tuple[dict[str, Any], Uploads]:
    from airflow_sagemaker import PyTorchTrainingStepBuilder

    uploads = Uploads()
    config = PytorchTrainingConfig(**settings(source_dir=str(source), **changes))
    step = PyTorchTrainingStepBuilder(config, uploader=uploads).create_step()
    return step.to_request(), uploads


def test_the_documented_snippet(source: Path) -> None:
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    from sagemaker.mlops.workflow.fail_step import FailStep
    from sagemaker.mlops.workflow.pipeline import Pipeline
    from sagemaker.mlops.workflow.steps import TrainingStep

    from airflow_sagemaker import PyTorchTrainingStepBuilder

    preprocessing_step = FailStep(name="Preprocess")
    pipeline = Pipeline(name="p", steps=[preprocessing_step], sagemaker_session=PipelineSession())
    hyperparams = ModelHyperparameters(**TABLE, learning_rate=0.001, batch_size=64, epochs=10)
    config = PytorchTrainingConfig(
        **PATHS,
        training_instance_type="ml.g5.12xlarge",
        training_instance_count=1,
        hyperparameters=hyperparams,
        source_dir=str(source),
    )
    training_step = PyTorchTrainingStepBuilder(config=config, uploader=Uploads()).create_step(
        dependencies=[preprocessing_step]
    )
    pipeline.steps.append(training_step)
    assert isinstance(training_step, TrainingStep)
    definition = json.loads(pipeline.definition())
    assert definition["Steps"][1]["DependsOn"] == ["Preprocess"]
    arguments = definition["Steps"][1]["Arguments"]
    assert arguments["RoleArn"] == ROLE  # from the SDK's configuration
    assert ".dkr.ecr.eu-central-1." in arguments["AlgorithmSpecification"]["TrainingImage"]  # the session's region
    code = arguments["InputDataConfig"][3]["DataSource"]["S3DataSource"]["S3Uri"]
    assert code.startswith("s3://session-bucket/pytorch-training/code/")


def test_each_element_of_the_step(source: Path) -> None:
    request, _ = build(source, environment={"A": "b"})
    arguments = request["Arguments"]
    assert list(shape_violations("request", {"TrainingJobName": "x", **arguments}, create_training_job_shape())) == []
    channels = {channel["ChannelName"]: channel for channel in arguments["InputDataConfig"]}
    assert list(channels) == ["train", "val", "test", "code", "sm_drivers"]
    uri = channels["val"]["DataSource"]["S3DataSource"]["S3Uri"]
    assert uri == "s3://my-bucket/preprocessed-data/val/val.parquet"
    assert arguments["CheckpointConfig"] == {
        "S3Uri": "s3://my-bucket/checkpoints",
        "LocalPath": "/opt/ml/checkpoints",
    }
    assert [m["Name"] for m in arguments["AlgorithmSpecification"]["MetricDefinitions"]] == [
        "Train Loss", "Validation Loss", "Validation F1 Score", "Validation AUC ROC",
    ]  # fmt: skip
    assert arguments["ProfilerConfig"]["S3OutputPath"] == "s3://my-bucket/model-artifacts/profiler"
    assert arguments["ResourceConfig"] == {
        "InstanceType": "ml.g5.12xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30,
    }  # fmt: skip
    assert arguments["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert arguments["Environment"] == {"A": "b"}
    assert json.loads(arguments["HyperParameters"]["tab_field_list"]) == ["feature1", "feature2"]
    assert json.loads(arguments["HyperParameters"]["learning_rate"]) == 0.001


def test_instance_types_in_order_of_preference(source: Path) -> None:
    request, _ = build(source, training_instance_types=["ml.g5.12xlarge", "ml.g6.12xlarge"])
    resources = request["Arguments"]["ResourceConfig"]
    assert resources["InstancePreferences"] == [{"InstanceType": "ml.g5.12xlarge"}, {"InstanceType": "ml.g6.12xlarge"}]
    assert "InstanceType" not in resources
    assert resources["InstanceCount"] == 1


def test_everything_that_is_configured_arrives(source: Path) -> None:
    (source / "requirements.txt").write_text("tabm\n")
    arn = "arn:aws:codeartifact:us-east-1:123456789012:repository/domain/repository"
    request, uploads = build(
        source,
        ca_repository_arn=arn,
        use_spot_instances=True,
        max_runtime_seconds=600,
        volume_kms_key="volume-key",
        output_kms_key="output-key",
        training_instance_type="ml.m5.large",
        subnets=["subnet-1"],
        security_group_ids=["sg-1"],
        encrypt_inter_container_traffic=True,
        tags={"team": "flights"},
        channel_input_mode="FastFile",
        channel_data_type="ManifestFile",
        step_cache_expires_after="P30D",
        retry_policies=[
            {"errors": ["throttling"], "max_attempts": 5},
            {"errors": ["resource_limit"], "expire_after_minutes": 60},
        ],
        profiler={"interval_milliseconds": 1000, "rules_to_run": [{"name": "ProfilerReport"}]},
        extra_arguments={
            "RemoteDebugConfig": {"EnableRemoteDebug": True},
            "OutputDataConfig": {"CompressionType": "NONE"},
        },
    )
    arguments = request["Arguments"]
    assert list(shape_violations("request", {"TrainingJobName": "x", **arguments}, create_training_job_shape())) == []
    assert arguments["Environment"] == {"CA_REPOSITORY_ARN": arn}
    assert arguments["EnableManagedSpotTraining"] is True
    assert arguments["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200}
    assert arguments["ResourceConfig"]["VolumeKmsKeyId"] == "volume-key"
    assert arguments["OutputDataConfig"] == {
        "S3OutputPath": "s3://my-bucket/model-artifacts", "KmsKeyId": "output-key", "CompressionType": "NONE",
    }  # fmt: skip
    assert arguments["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert arguments["EnableInterContainerTrafficEncryption"] is True
    assert arguments["Tags"] == [{"Key": "team", "Value": "flights"}]
    assert arguments["InputDataConfig"][0]["InputMode"] == "FastFile"
    manifest = arguments["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert (manifest["S3DataType"], manifest["S3Uri"][-15:]) == ("ManifestFile", "/train.manifest")
    assert arguments["RemoteDebugConfig"] == {"EnableRemoteDebug": True}
    assert arguments["ProfilerRuleConfigurations"][0]["RuleEvaluatorImage"] == (
        "482524230118.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-debugger-rules:latest"
    )
    assert request["CacheConfig"] == {"Enabled": True, "ExpireAfter": "P30D"}
    assert [policy["ExceptionType"] for policy in request["RetryPolicies"]] == [
        ["Step.THROTTLING"], ["SageMaker.RESOURCE_LIMIT"],
    ]  # fmt: skip
    script = next(content for key, content in uploads.files.items() if key.endswith("sm_train.sh")).decode()
    assert "install_requirements.py requirements.txt" in script


@pytest.mark.parametrize(("distribution", "driver"), [("torchrun", "torchrun_driver"), ("none", "basic_script_driver")])
def test_processes_are_counted_in_the_container(source: Path, distribution: str, driver: str) -> None:
    _, uploads = build(source, distribution=distribution)
    by_name = {key.rsplit("/", 1)[1]: content for key, content in uploads.files.items()}
    assert driver in by_name["sm_train.sh"].decode()
    assert json.loads(by_name["distributed.json"]).get("process_count_per_node") is None


def test_network_isolation_and_no_profiler(source: Path) -> None:
    arguments = build(source, network_isolation=True, profiler=None)[0]["Arguments"]
    assert arguments["EnableNetworkIsolation"] is True
    assert arguments["ProfilerConfig"] == {"DisableProfiler": True}


def test_the_drivers_quote_and_keep_the_token_to_themselves(source: Path) -> None:
    _, uploads = build(source)
    by_name = {key.rsplit("/", 1)[1]: content.decode() for key, content in uploads.files.items() if key.endswith(".py")}
    assert "shlex.quote" in by_name["environment.py"]
    assert "join(pip_cmd)" not in by_name["install_requirements.py"]
    assert "check_call(pip_cmd)" not in by_name["install_requirements.py"]
    for text in (by_name["environment.py"], by_name["install_requirements.py"]):
        compile(text, "driver", "exec")
    assert not any(str(source).encode() in content for content in uploads.files.values())


def test_sigterm_reaches_the_program(source: Path) -> None:
    """The script is the container's first process, and hands its place to the driver."""
    step, uploads = build(source)
    algorithm = step["Arguments"]["AlgorithmSpecification"]
    started = [*algorithm["ContainerEntrypoint"], *algorithm["ContainerArguments"]]
    assert started == ["/bin/bash", "/opt/ml/input/data/sm_drivers/sm_train.sh"]
    by_name = {key.rsplit("/", 1)[1]: content.decode() for key, content in uploads.files.items()}
    assert "\nexec $SM_PYTHON_CMD" in by_name["sm_train.sh"]
    assert "\ntrap 'exit 143' TERM" in by_name["sm_train.sh"]
    assert "from common.program import execute_commands" in by_name["utils.py"]
    assert "signal.signal(signal.SIGTERM" in by_name["program.py"]


def test_unknown_drivers_are_refused(tmp_path: Path) -> None:
    from airflow_sagemaker.exceptions import CompileError
    from airflow_sagemaker.kinds.training.trainer import make_drivers_safe

    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "environment.py").write_text("something else")
    with pytest.raises(CompileError, match="Install sagemaker==3"):
        make_drivers_safe(tmp_path)


def test_wide_tables_travel_as_a_file(source: Path) -> None:
    columns = [f"column_{number}" for number in range(1000)]
    table = {**TABLE, "full_field_list": [*TABLE["full_field_list"], *columns], "tab_field_list": columns}
    request, uploads = build(source, hyperparameters=table)
    assert "full_field_list" not in request["Arguments"]["HyperParameters"]
    fields = next(content for key, content in uploads.files.items() if key.endswith("/fields.json"))
    assert json.loads(fields)["tab_field_list"] == columns


def test_a_missing_role_is_said_when_the_step_is_built(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_sagemaker import PyTorchTrainingStepBuilder
    from airflow_sagemaker.definition.sdk import session

    (tmp_path / "sdk.yaml").write_text("SchemaVersion: '1.0'\n")
    monkeypatch.setattr(session, "_default_role", lambda _: None)
    builder = PyTorchTrainingStepBuilder(PytorchTrainingConfig(**settings(source_dir=str(source))))
    with pytest.raises(ConfigurationError, match=r"role_arn = .*is required here"):
        builder.create_step()
