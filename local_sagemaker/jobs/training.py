"""A training job: downloads channels and checkpoints, runs the program, and uploads model and output.

Input mode FastFile is treated like File: objects are downloaded before the program starts, and it sees the same files.
The content of /opt/ml/model is uploaded as model.tar.gz, that of /opt/ml/output/data as output.tar.gz. Names in the
archives are relative to these folders; an empty folder creates no archive.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from local_sagemaker.identifiers import region_of
from local_sagemaker.job_files import read_text, remove_tree
from local_sagemaker.jobs.failure import LIMIT, algorithm_error
from local_sagemaker.jobs.host.container import ML, Cluster, write_json
from local_sagemaker.jobs.host.handle import HostExit
from local_sagemaker.jobs.host.runner.messages import HostConfig
from local_sagemaker.jobs.host.runner.output import Mask
from local_sagemaker.jobs.job import Cause, Job, JobFailed, Outcome, Services, utc_now
from local_sagemaker.jobs.spec import FinalMetric, JobChanges, JobSpec, Transition
from local_sagemaker.jobs.transfer.archive import write_archive
from local_sagemaker.jobs.transfer.channels import share
from local_sagemaker.jobs.transfer.checkpoints import CheckpointSync
from local_sagemaker.jobs.transfer.s3 import S3Problem, S3Uri
from local_sagemaker.requests import toolkit
from local_sagemaker.requests.job_rules import DEFAULT_RUNTIME_SECONDS
from local_sagemaker.types import JsonObject

_CODE_CHANNELS = ("code", "sm_drivers")
_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "Training job interrupted: the spot instance was reclaimed",
    "Stopping": "Stopping the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}
"""The service's messages (SecondaryStatusTransition in the API reference, and jobs' logs); Interrupted is ours."""


class TrainingJob(Job):
    """Runs a CreateTrainingJob request."""

    group = "/aws/sagemaker/TrainingJobs"

    def __init__(self, spec: JobSpec, services: Services, slot: int) -> None:
        super().__init__(spec, services, slot)
        self._transitions: list[Transition] = []
        self._final: dict[str, FinalMetric] = {}
        self._report_lock = threading.Lock()
        self._started: datetime | None = None
        self._billable = 0.0
        self._syncs: list[CheckpointSync] = []

    def _cluster(self, slot: int) -> Cluster:
        resources = self.request.get("ResourceConfig") or {}
        return Cluster.of(int(resources.get("InstanceCount", 1)), resources.get("InstanceType", "ml.m5.large"), slot)

    # --- running ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._status("InProgress", "Starting")
        self.check_stop()
        submitted = time.monotonic()
        while True:
            outcome = self._attempt()
            if outcome.cause != "interrupted":
                break
            self._status("InProgress", "Interrupted")
            if self._wait_time_exceeded(submitted):
                self._end("Stopped", "MaxWaitTimeExceeded")
                return
            self._status("InProgress", "Starting")
            self._prepare_folder()
        self._finish(outcome)

    def _attempt(self) -> Outcome:
        """Run the hosts once, from an empty folder to the last upload of checkpoints."""
        self._started = self._started or utc_now()
        self._status("InProgress", "Downloading", changes={"TrainingStartTime": self._started})
        begun = time.monotonic()
        try:
            self._download()
            configs = [self._host(index) for index in range(len(self.layouts))]
            self._status("InProgress", "Training")
            outcome = self.run_hosts(configs, self._max_runtime())
            self._sync_checkpoints(final=True)
        finally:
            self._billable += time.monotonic() - begun
        return outcome

    def _max_runtime(self) -> float:
        condition = self.request.get("StoppingCondition") or {}
        return float(condition.get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS)) - self._billable

    def _wait_time_exceeded(self, submitted: float) -> bool:
        limit = (self.request.get("StoppingCondition") or {}).get("MaxWaitTimeInSeconds")
        return limit is not None and time.monotonic() - submitted > float(limit)

    def _ending(self, cause: Cause) -> None:
        if cause == "stopped":
            self._status("Stopping", "Stopping")

    def _finish(self, outcome: Outcome) -> None:
        if outcome.cause == "disk":
            self._upload_output()
            raise JobFailed(f"ClientError: No space left on device: {outcome.detail}")
        if outcome.cause == "exited" and outcome.failed:
            self._upload_output()
            raise JobFailed(self._why(*outcome.failed))
        status = "InProgress" if outcome.cause == "exited" else "Stopping"
        self._status(status, "Uploading")
        artifact = self._upload_model()
        self._upload_output()
        secondary = {"stopped": "Stopped", "max_runtime": "MaxRuntimeExceeded"}.get(outcome.cause, "Completed")
        status = "Completed" if secondary == "Completed" else "Stopped"
        self._end(status, secondary, changes={"ModelArtifacts": artifact})
        self._remove_bulk()

    def _why(self, index: int, ended: HostExit) -> str:
        if ended.reason:
            return f"ClientError: {ended.reason}, exit code: {ended.code}"
        layout = self.layouts[index]
        said = read_text(layout.root, layout.ml / "output" / "failure", 16 * LIMIT)
        return algorithm_error(Mask(self.services.client_env)(said), ended.tail, ended.code)

    # --- inputs -------------------------------------------------------------------------------------------------

    def _host(self, index: int) -> HostConfig:
        algorithm = self.request["AlgorithmSpecification"]
        argv = [*self._entry_point(), *(algorithm.get("ContainerArguments") or [])]
        own = {
            "SAGEMAKER_BASE_DIR": str(ML),  # sagemaker-training uses this folder, even without a mount
            "TRAINING_JOB_NAME": self.spec.name,
            "TRAINING_JOB_ARN": self.spec.arn,
            "AWS_REGION": region_of(self.spec.arn),
            "AWS_DEFAULT_REGION": region_of(self.spec.arn),
            **(self.request.get("Environment") or {}),
        }
        return self.host_config(index, argv, own, ML)

    def _entry_point(self) -> list[str]:
        """The request's entry point, else sagemaker-training's program, run by the job's interpreter."""
        given: list[str] = self.request["AlgorithmSpecification"].get("ContainerEntrypoint") or []
        if given:
            return given
        program = Path(self.services.python().scripts) / toolkit.PROGRAM
        if not program.is_file():
            raise JobFailed(f"ClientError: the job has no ContainerEntrypoint, and the job Python has no {program}")
        return ["python3", str(program)]

    def _download(self) -> None:
        channels = self.request.get("InputDataConfig") or []
        plans = [(channel, self.plan(channel["DataSource"]["S3DataSource"])) for channel in channels]
        for index, (layout, paths) in enumerate(zip(self.layouts, self.paths, strict=True)):
            for name in ("model", "output/data", "input/data", "checkpoints"):
                (layout.ml / name).mkdir(parents=True)
            self._write_configuration(index)
            for channel, found in plans:
                folder = layout.ml / "input" / "data" / _folder_name(channel)
                folder.mkdir()
                source = channel["DataSource"]["S3DataSource"]
                for item in share(source, found, index, len(self.layouts)):
                    self.check_stop()
                    self.services.s3.download(item, folder)
                if channel["ChannelName"] in _CODE_CHANNELS:
                    paths.rewrite_folder(folder)
            self._meet_at_own_port(layout.ml)
        self._download_checkpoints()

    def _write_configuration(self, index: int) -> None:
        paths = self.paths[index]
        config = paths.layout.ml / "input" / "config"
        mode = self.request["AlgorithmSpecification"].get("TrainingInputMode", "File")
        inputs = {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode") or mode,
                "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                    "S3DataDistributionType", "FullyReplicated"
                ),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                **({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}),
            }
            for channel in self.request.get("InputDataConfig") or []
        }
        write_json(config / "hyperparameters.json", paths.seen_json(self.request.get("HyperParameters") or {}))
        write_json(config / "inputdataconfig.json", json.dumps(inputs))
        write_json(config / "resourceconfig.json", json.dumps(self.cluster.resource_config(self.cluster.names[index])))

    def _meet_at_own_port(self, ml: Path) -> None:
        """Set this job's address and port for the rendezvous of its hosts in the staged driver.

        The driver uses port 7777, which is free in a container, but jobs here share the machine. Without a mount, the
        job has no /etc/hosts with algo-1.
        """
        script = ml / "input" / "data" / "sm_drivers" / "scripts" / "environment.py"
        if len(self.layouts) == 1 or not script.is_file():
            return
        text = script.read_text()
        text = text.replace("SM_MASTER_PORT = 7777", f"SM_MASTER_PORT = {self.cluster.master_port}")
        if not self.services.isolation.mount:
            text = text.replace('SM_MASTER_ADDR = "algo-1"', f'SM_MASTER_ADDR = "{self.cluster.addresses[0]}"')
        script.write_text(text)

    # --- checkpoints --------------------------------------------------------------------------------------------

    def _download_checkpoints(self) -> None:
        config = self.request.get("CheckpointConfig") or {}
        self._syncs = []
        if not config.get("S3Uri"):
            return
        uri = S3Uri.parse(config["S3Uri"])
        for layout, paths in zip(self.layouts, self.paths, strict=True):
            folder = paths.on_host(config.get("LocalPath") or "/opt/ml/checkpoints")
            sync = CheckpointSync(self.services.s3, layout.root, folder, uri, layout.root / "checkpoint.snapshot")
            self.check_stop()
            sync.download()
            self._syncs.append(sync)

    def _sync_checkpoints(self, *, final: bool) -> None:
        for sync in self._syncs:
            sync.upload_changes(final=final)

    def _tick(self, *, final: bool = False) -> None:
        self._sync_checkpoints(final=final)

    # --- outputs ------------------------------------------------------------------------------------------------

    def _output_uri(self, *parts: str) -> S3Uri:
        return S3Uri.parse(self.request["OutputDataConfig"]["S3OutputPath"]).child(self.spec.name, "output", *parts)

    def _upload_model(self) -> dict[str, str]:
        folders = [(layout.root, layout.ml / "model") for layout in self.layouts]
        if self.request["OutputDataConfig"].get("CompressionType") == "NONE":
            uri = self._output_uri("model")
            for anchor, folder in reversed(folders):
                self.services.s3.upload_folder(anchor, folder, uri, self.room_bytes())
            return {"S3ModelArtifacts": f"{uri}/"}
        uri = self._output_uri("model.tar.gz")
        self._upload_archive(folders, uri)
        return {"S3ModelArtifacts": str(uri)}

    def _upload_output(self) -> None:
        self._upload_archive(
            [(layout.root, layout.ml / "output" / "data") for layout in self.layouts],
            self._output_uri("output.tar.gz"),
        )

    def _upload_archive(self, folders: list[tuple[Path, Path]], uri: S3Uri) -> None:
        packed = self.folder / uri.key.rpartition("/")[2]
        try:
            if write_archive(folders, packed, len(folders) * self.room_bytes()):
                self.services.s3.upload(packed, uri)
        except OSError as error:
            raise S3Problem(f"ClientError: Artifact upload failed: {error.strerror or error} ({packed})") from error
        finally:
            packed.unlink(missing_ok=True)

    def _remove_bulk(self) -> None:
        """After success, delete large files, which are in S3. A failed job's folder is kept for debugging."""
        for layout in self.layouts:
            for folder in ("ml/input/data", "ml/model", "ml/checkpoints", "ml/tmp", "python", "home"):
                remove_tree(layout.root / folder)

    def _volume_bytes(self) -> int:
        return int((self.request.get("ResourceConfig") or {}).get("VolumeSizeInGB") or 0) * 2**30

    # --- reports ------------------------------------------------------------------------------------------------

    def _metric_definitions(self) -> list[dict[str, str]]:
        return list(self.request["AlgorithmSpecification"].get("MetricDefinitions") or [])

    def _metrics(self, found: list[tuple[str, float, int]]) -> None:
        with self._report_lock:
            for name, value, milliseconds in found:
                if math.isfinite(value):
                    when = datetime.fromtimestamp(milliseconds / 1000, UTC)
                    self._final[name] = {"MetricName": name, "Value": value, "Timestamp": when}
            self.services.events.changed(self.spec.arn, {"FinalMetricDataList": list(self._final.values())})

    def _status(
        self, status: str, secondary: str, message: str | None = None, changes: JobChanges | None = None
    ) -> None:
        now = utc_now()
        message = message or _MESSAGES[secondary]
        with self._report_lock:
            if self._transitions:
                self._transitions[-1]["EndTime"] = now
            self._transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
            if secondary in {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"}:
                self._transitions[-1]["EndTime"] = now
            reported: JobChanges = {
                "TrainingJobStatus": status,
                "SecondaryStatus": secondary,
                "SecondaryStatusTransitions": [entry.copy() for entry in self._transitions],
                "StatusMessage": message,
                "LastModifiedTime": now,
                **(changes or {}),
            }
            self.services.events.changed(self.spec.arn, reported)

    def _end(self, status: str, secondary: str, message: str | None = None, changes: JobChanges | None = None) -> None:
        now = utc_now()
        reported: JobChanges = {"TrainingEndTime": now, **(changes or {})}
        if self._started is not None:
            reported["TrainingStartTime"] = self._started
            reported["TrainingTimeInSeconds"] = math.ceil((now - self._started).total_seconds())
            reported["BillableTimeInSeconds"] = math.ceil(self._billable)
        with self._report_lock:
            reported["FinalMetricDataList"] = list(self._final.values())
        self._status(status, secondary, message, reported)

    def _report_failed(self, reason: str) -> None:
        self._end("Failed", "Failed", f"Training job failed: {reason}"[:1024], {"FailureReason": reason})

    def _report_stopped(self) -> None:
        self._end("Stopped", "Stopped")


def _folder_name(channel: JsonObject) -> str:
    """A channel's folder name; JobFailed for names such as `..`, which the API's pattern allows."""
    name = str(channel["ChannelName"])
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) or set(name) == {"."}:
        raise JobFailed(f"ClientError: ChannelName {name!r} is not a name for a folder")
    return name
