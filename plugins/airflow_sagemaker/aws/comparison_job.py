"""The Processing job that scores a model and the champion on the same test rows (`training.compare`).

Its name is derived from the two models, so that all tries of a task use the same job: names of jobs are unique. After
a job that failed, the next name is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.faults import Fault, classify_error, explain_error
from airflow_sagemaker.exceptions import ConfigurationError, ExecutionError, Violation
from airflow_sagemaker.types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from airflow_sagemaker.aws.client import Aws

MOST_JOBS = 20
"""Maximum number of jobs per comparison; all but the last one failed or were stopped."""
MAX_RUNTIME_SECONDS = 3600
VOLUME_GB = 30
RESULT = "comparison.json"
_ROOT = "/opt/ml/processing"
PROGRAM = (
    'set -e; cd "$1"; shift; mkdir -p training; tar -xf training.tar -C training; '
    "python3 -m pip install -q --disable-pip-version-check -r training/requirements.txt; "
    'exec python3 -m training.compare "$@"'
)
"""For bash; SageMaker takes 256 characters at most."""


@dataclass(frozen=True)
class Compared:
    """One of the two models."""

    name: str
    """For messages: its package's ARN, or its S3 URI."""
    artifact: str


@dataclass(frozen=True)
class ComparisonJob:
    """The job that compares a model with the champion; role, image, network and test rows are the training job's."""

    aws: Aws
    training_job: str
    model: Compared
    champion: Compared
    pipeline_name: str
    instance_type: str
    source: Mapping[str, bytes]
    """The training program by relative path; it contains compare.py."""

    @property
    def bucket(self) -> str:
        """Bucket of the program and the result: the model's."""
        return self.model.artifact.removeprefix("s3://").partition("/")[0]

    def name(self, number: int) -> str:
        """Return the name of the job with this number, from 0."""
        pair = json.dumps([self.training_job, self.model.artifact, self.champion.name, self.champion.artifact])
        return f"compare-{hashlib.sha256(pair.encode()).hexdigest()[:32]}-{number}"

    def find_or_start(self) -> int:
        """Return the number of the job that is running, has completed, or was just started."""
        for number in range(1, MOST_JOBS + 1):
            job = self._describe(number)
            if job is None:
                self._start(number)
                return number
            if job["ProcessingJobStatus"] not in ("Failed", "Stopped"):
                return number
        raise ExecutionError(f"{MOST_JOBS} jobs {self.name(1)[:-2]} failed; look at the last one before you try again")

    def result(self, number: int) -> JsonObject | None:
        """Return the comparison, None while the job runs.

        Raises ConfigurationError if the program could not compare the models, ExecutionError if the job failed
        otherwise.
        """
        job = self._describe(number)
        if job is None:
            raise ExecutionError(f"processing job {self.name(number)} no longer exists")
        if job["ProcessingJobStatus"] in ("InProgress", "Stopping"):
            return None
        if job["ProcessingJobStatus"] == "Completed":
            return self._read(number)
        if said := job.get("ExitMessage"):
            raise ConfigurationError([Violation("same_rows", self.champion.name, said)], what="promotion")
        reason = job.get("FailureReason") or "SageMaker reported no reason"
        raise ExecutionError(f"processing job {self.name(number)} {job['ProcessingJobStatus'].lower()}: {reason}")

    def _describe(self, number: int) -> JsonObject | None:
        name = self.name(number)
        try:
            job: JsonObject = self.aws.call("sagemaker", "describe_processing_job", ProcessingJobName=name)
        except Exception as error:
            if classify_error(error) is Fault.GONE:
                return None
            raise ExecutionError(explain_error(error, f"reading processing job {name}")) from error
        return job

    def _start(self, number: int) -> None:
        self._require_artifact(self.champion)
        name = self.name(number)
        try:
            training = self.aws.call("sagemaker", "describe_training_job", TrainingJobName=self.training_job)
            code = self._upload()
            self.aws.call("sagemaker", "create_processing_job", **self._request(name, training, code))
        except ConfigurationError:
            raise
        except Exception as error:
            if classify_error(error) is not Fault.CONFLICT:  # after a lost reply, or by another try: the job exists
                raise ExecutionError(explain_error(error, f"starting processing job {name}")) from error

    def _require_artifact(self, compared: Compared) -> None:
        bucket, _, key = compared.artifact.removeprefix("s3://").partition("/")
        try:
            self.aws.call("s3", "head_object", Bucket=bucket, Key=key)
        except Exception as error:
            if classify_error(error) is Fault.GONE:
                rule = f"has no artifact any more: {compared.artifact} does not exist"
                hint = "approve another package, or reject this one"
                raise ConfigurationError([Violation("champion", compared.name, rule, hint)], what="promotion") from None
            if classify_error(error) is not Fault.DENIED:  # without permission to check, the job itself will fail
                raise ExecutionError(explain_error(error, f"looking for {compared.artifact}")) from error

    def _upload(self) -> str:
        """Upload the program next to the pipeline's code, under its digest; return its S3 URI."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, content in sorted(self.source.items()):
                member = tarfile.TarInfo(path)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        digest = hashlib.sha256(archive.getvalue()).hexdigest()
        key = f"{self.pipeline_name}/code/{digest}/training.tar"
        self.aws.call("s3", "put_object", Bucket=self.bucket, Key=key, Body=archive.getvalue())
        return f"s3://{self.bucket}/{key}"

    def _request(self, name: str, training: JsonMapping, code: str) -> JsonObject:
        """Return CreateProcessingJob's request: role, image and network are those of the training job."""
        test = next((one for one in training["InputDataConfig"] if one["ChannelName"] == "test"), None)
        if test is None:
            rule = "has no channel test, whose rows both models would be scored on"
            raise ConfigurationError([Violation("same_rows", self.training_job, rule)], what="promotion")
        rows = test["DataSource"]["S3DataSource"]
        places = {"code": code, "model": self.model.artifact, "champion": self.champion.artifact}
        inputs = [_input(what, uri) for what, uri in places.items()]
        resources = training["ResourceConfig"]
        cluster = {"InstanceCount": 1, "InstanceType": self.instance_type, "VolumeSizeInGB": VOLUME_GB}
        network = {
            "VpcConfig": training.get("VpcConfig"),
            "EnableInterContainerTrafficEncryption": training.get("EnableInterContainerTrafficEncryption"),
        }
        output = {"S3Uri": self._output(name), "LocalPath": f"{_ROOT}/output", "S3UploadMode": "EndOfJob"}
        return {
            "ProcessingJobName": name,
            "RoleArn": training["RoleArn"],
            "AppSpecification": {
                "ImageUri": training["AlgorithmSpecification"]["TrainingImage"],
                "ContainerEntrypoint": ["/bin/bash", "-c", PROGRAM, "compare"],
                "ContainerArguments": [
                    f"{_ROOT}/input/code",
                    *(f"{_ROOT}/input/{what}/{places[what].rpartition('/')[2]}" for what in ("model", "champion")),
                    f"{_ROOT}/input/rows",
                    f"{_ROOT}/output/{RESULT}",
                ],
            },
            "ProcessingInputs": [*inputs, _input("rows", rows["S3Uri"], rows.get("S3DataType", "S3Prefix"))],
            "ProcessingOutputConfig": _given(
                KmsKeyId=training.get("OutputDataConfig", {}).get("KmsKeyId"),
                Outputs=[{"OutputName": "comparison", "S3Output": output}],
            ),
            "ProcessingResources": {"ClusterConfig": cluster | _given(VolumeKmsKeyId=resources.get("VolumeKmsKeyId"))},
            "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUNTIME_SECONDS},
            **_given(NetworkConfig=_given(**network)),
        }

    def _output(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.pipeline_name}/comparisons/{name}"

    def _read(self, number: int) -> JsonObject:
        key = f"{self._output(self.name(number))}/{RESULT}".removeprefix(f"s3://{self.bucket}/")
        try:
            body = self.aws.call("s3", "get_object", Bucket=self.bucket, Key=key)["Body"].read()
        except Exception as error:
            raise ExecutionError(explain_error(error, f"reading s3://{self.bucket}/{key}")) from error
        found: JsonObject = json.loads(body)
        return found


def measured_name(metric: str) -> str:
    """Return the name that a comparison uses for a validation metric. Raises ConfigurationError for any other."""
    matched = re.fullmatch(r"Validation (Loss|F1 Score|AUC ROC)", metric)
    if matched is None:
        rule = "is not measured on other rows; same_rows takes the validation metrics of the shipped program"
        raise ConfigurationError([Violation("metric", metric, rule)], what="promotion")
    return matched[1]


def _input(name: str, uri: str, kind: str = "S3Prefix") -> JsonObject:
    source = {"S3Uri": uri, "LocalPath": f"{_ROOT}/input/{name}", "S3DataType": kind, "S3InputMode": "File"}
    return {"InputName": name, "S3Input": source}


def _given(**members: object) -> JsonObject:
    return {name: value for name, value in members.items() if value}
