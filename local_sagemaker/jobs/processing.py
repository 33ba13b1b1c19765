"""A processing job: downloads inputs, runs the program, and uploads outputs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime

from local_sagemaker.identifiers import region_of
from local_sagemaker.job_files import read_text
from local_sagemaker.jobs.failure import algorithm_error
from local_sagemaker.jobs.host.container import ML, Cluster, write_json
from local_sagemaker.jobs.host.runner.messages import HostConfig
from local_sagemaker.jobs.host.runner.output import Mask
from local_sagemaker.jobs.job import Cause, Job, Outcome, Services, utc_now
from local_sagemaker.jobs.spec import JobChanges, JobSpec
from local_sagemaker.jobs.transfer.channels import share
from local_sagemaker.jobs.transfer.checkpoints import CheckpointSync
from local_sagemaker.jobs.transfer.s3 import S3Uri
from local_sagemaker.requests.job_rules import DEFAULT_RUNTIME_SECONDS
from local_sagemaker.types import JsonObject

_CODE_BYTES = 2**20


class ProcessingJob(Job):
    """Runs a CreateProcessingJob request."""

    group = "/aws/sagemaker/ProcessingJobs"

    def __init__(self, spec: JobSpec, services: Services, slot: int) -> None:
        super().__init__(spec, services, slot)
        self._started: datetime | None = None
        self._syncs: list[CheckpointSync] = []
        self._report_lock = threading.Lock()

    def _cluster(self, slot: int) -> Cluster:
        resources = (self.request.get("ProcessingResources") or {}).get("ClusterConfig") or {}
        return Cluster.of(int(resources.get("InstanceCount", 1)), resources.get("InstanceType", "ml.m5.large"), slot)

    def _work(self) -> None:
        self._started = utc_now()
        self._report("InProgress", {"ProcessingStartTime": self._started})
        for index in range(len(self.layouts)):
            self._prepare(index)
        configs = [self._host(index) for index in range(len(self.layouts))]
        limit = float((self.request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS))
        outcome = self.run_hosts(configs, limit)
        self._upload_outputs()
        self._finish(outcome)

    def _finish(self, outcome: Outcome) -> None:
        exit_message = self._exit_message()
        changes: JobChanges = {"ExitMessage": exit_message} if exit_message else {}
        if outcome.cause == "stopped":
            self._end("Stopped", changes)
        elif outcome.cause == "max_runtime":
            reason = "ClientError: Job runtime exceeded MaxRuntimeInSeconds provided"
            self._end("Stopped", {"FailureReason": reason, **changes})
        elif outcome.cause == "disk":
            reason = f"ClientError: No space left on device: {outcome.detail}"
            self._end("Failed", {"FailureReason": reason[:1024], **changes})
        elif outcome.failed:
            _, failed = outcome.failed
            if failed.reason:
                reason = f"ClientError: {failed.reason}, exit code: {failed.code}"
            else:
                reason = algorithm_error("", failed.tail, failed.code)
            self._end("Failed", {"FailureReason": reason[:1024], **changes})
        else:
            self._end("Completed", changes)

    # --- inputs -------------------------------------------------------------------------------------------------

    def _prepare(self, index: int) -> None:
        paths, ml = self.paths[index], self.layouts[index].ml
        (ml / "output").mkdir(parents=True)
        for item in self.request.get("ProcessingInputs") or []:
            self._download_input(index, item)
        for _, source, _ in self._outputs():
            paths.on_host(source).mkdir(parents=True, exist_ok=True)
        config: JsonObject = {
            "ProcessingJobArn": self.spec.arn,
            "ProcessingJobName": self.spec.name,
            **{
                name: self.request[name]
                for name in (
                    "ProcessingInputs",
                    "ProcessingOutputConfig",
                    "ProcessingResources",
                    "AppSpecification",
                    "Environment",
                    "RoleArn",
                    "StoppingCondition",
                )
                if name in self.request
            },
        }
        write_json(ml / "config" / "processingjobconfig.json", paths.seen_json(config))
        resources = self.cluster.resource_config(self.cluster.names[index])
        write_json(ml / "config" / "resourceconfig.json", json.dumps(resources))

    def _download_input(self, index: int, item: JsonObject) -> None:
        source = item.get("S3Input")
        if not source:
            return
        folder = self.paths[index].on_host(source["LocalPath"])
        folder.mkdir(parents=True, exist_ok=True)
        found = share(source, self.plan(source), index, len(self.layouts))
        for download in found:
            self.check_stop()
            self.services.s3.download(download, folder)
        if sum(download.size for download in found) <= _CODE_BYTES:
            self.paths[index].rewrite_folder(folder)

    def _host(self, index: int) -> HostConfig:
        application = self.request["AppSpecification"]
        argv = [*application["ContainerEntrypoint"], *(application.get("ContainerArguments") or [])]
        own = {
            "AWS_REGION": region_of(self.spec.arn),
            "AWS_DEFAULT_REGION": region_of(self.spec.arn),
            "PROCESSING_JOB_NAME": self.spec.name,
            **(self.request.get("Environment") or {}),
        }
        return self.host_config(index, argv, own, ML)

    # --- outputs ------------------------------------------------------------------------------------------------

    def _outputs(self) -> Iterator[tuple[str, str, JsonObject]]:
        for item in (self.request.get("ProcessingOutputConfig") or {}).get("Outputs") or []:
            output = item.get("S3Output") or {}
            if output.get("LocalPath"):
                yield item["OutputName"], output["LocalPath"], output

    def _continuous(self) -> list[CheckpointSync]:
        if not self._syncs:
            for layout, paths in zip(self.layouts, self.paths, strict=True):
                for _, source, output in self._outputs():
                    if output.get("S3UploadMode") == "Continuous":
                        scratch = layout.root / "output.snapshot"
                        folder, uri = paths.on_host(source), S3Uri.parse(output["S3Uri"])
                        self._syncs.append(CheckpointSync(self.services.s3, layout.root, folder, uri, scratch))
        return self._syncs

    def _tick(self, *, final: bool = False) -> None:
        for sync in self._continuous():
            sync.upload_changes(final=final)

    def _upload_outputs(self) -> None:
        self._tick(final=True)
        for paths in reversed(self.paths):
            for _, source, output in self._outputs():
                folder = paths.on_host(source)
                if output.get("S3UploadMode") != "Continuous":
                    self.services.s3.upload_folder(
                        paths.layout.root, folder, S3Uri.parse(output["S3Uri"]), self.room_bytes()
                    )

    def _exit_message(self) -> str:
        layout = self.layouts[0]
        said = read_text(layout.root, layout.ml / "output" / "message", 4096)
        return Mask(self.services.client_env)(said).strip()[:1024]

    # --- reports ------------------------------------------------------------------------------------------------

    def _ending(self, cause: Cause) -> None:
        if cause == "stopped":
            self._report("Stopping")

    def _report(self, status: str, changes: JobChanges | None = None) -> None:
        with self._report_lock:
            reported: JobChanges = {
                "ProcessingJobStatus": status,
                "LastModifiedTime": utc_now(),
                **(changes or {}),
            }
            self.services.events.changed(self.spec.arn, reported)

    def _end(self, status: str, changes: JobChanges | None = None) -> None:
        self._report(status, {"ProcessingEndTime": utc_now(), **(changes or {})})

    def _report_failed(self, reason: str) -> None:
        self._end("Failed", {"FailureReason": reason})

    def _report_stopped(self) -> None:
        self._end("Stopped")
