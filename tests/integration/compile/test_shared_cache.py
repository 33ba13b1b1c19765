"""Compiled definitions in S3: what another host may take from the bucket, and what it must not believe."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.versions import CompiledPipeline, deploy_pipeline
from airflow_sagemaker.definition.compiler import compile_pipeline
from airflow_sagemaker.definition.disk_cache import DiskCache
from airflow_sagemaker.definition.s3_cache import S3Cache

FOREIGN_ROLE = "arn:aws:iam::123456789012:role/Administrator"


class Hosts:
    """Hosts with a compile cache each, which share a bucket and the local SageMaker."""

    def __init__(self, local_sagemaker: Any, config: PytorchTrainingConfig, folder: Path) -> None:
        self.s3 = local_sagemaker.client("s3")
        self.s3.create_bucket(Bucket=config.bucket)
        target: Any = SimpleNamespace(client=local_sagemaker.client, key=lambda: ("test",))
        self.aws = Aws(target, logging.getLogger("airflow_sagemaker.test"))
        self.config = config
        self.compiled_by: list[str] = []
        self._folder = folder

    def compile(self, host: str) -> CompiledPipeline:
        """Compile on a host; remember it when it did so by itself."""
        shared = S3Cache(self.aws, str(self.config.bucket), self.config.pipeline_name, str(self.config.role_arn))
        cache = DiskCache(self._folder / host)
        return compile_pipeline(
            self.config, cache=cache, shared=shared, on_child=lambda _: self.compiled_by.append(host)
        )

    def forge(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the one entry in the bucket, as somebody can who may write there."""
        prefix = f"{self.config.pipeline_name}/compiled/"
        (found,) = self.s3.list_objects_v2(Bucket=self.config.bucket, Prefix=prefix)["Contents"]
        entry = json.loads(self.s3.get_object(Bucket=self.config.bucket, Key=found["Key"])["Body"].read())
        change(entry)
        self.s3.put_object(Bucket=self.config.bucket, Key=found["Key"], Body=json.dumps(entry).encode())


@pytest.fixture
def hosts(local_sagemaker: Any, config: PytorchTrainingConfig, tmp_path: Path) -> Hosts:
    name = f"shared-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    return Hosts(local_sagemaker, config.updated(pipeline_name=name, bucket=name), tmp_path / "hosts")


def test_another_host_finds_the_definition_that_was_deployed(hosts: Hosts) -> None:
    first = hosts.compile("one")
    deploy_pipeline(hosts.aws, first)
    second = hosts.compile("two")
    assert second.definition == first.definition
    assert all(Path(upload.path).is_file() for upload in second.uploads)
    assert hosts.compiled_by == ["one"]


def test_a_definition_that_nobody_deployed_is_compiled_again(hosts: Hosts) -> None:
    """Whoever may write to the bucket could have put it there."""
    hosts.compile("one")
    hosts.compile("two")
    assert hosts.compiled_by == ["one", "two"]


def _role(entry: dict[str, Any]) -> None:
    entry["definition"] = entry["definition"].replace("role/LocalSageMakerRole", "role/Administrator")


def _entry_point(entry: dict[str, Any]) -> None:
    entry["definition"] = entry["definition"].replace("sm_train.sh", "other.sh")


def _upload_elsewhere(entry: dict[str, Any]) -> None:
    entry["uploads"].append({**entry["uploads"][0], "key": "somebody/elses/object"})


def _other_content(entry: dict[str, Any]) -> None:
    entry["uploads"][0]["sha256"] = hashlib.sha256(b"other").hexdigest()


def _half(entry: dict[str, Any]) -> None:
    del entry["uploads"]


@pytest.mark.parametrize(
    "forgery",
    [
        _role,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (_entry_point, _upload_elsewhere, _other_content)),
        _half,
    ],
)
def test_a_forged_entry_is_not_used(hosts: Hosts, forgery: Callable[[dict[str, Any]], None]) -> None:
    first = hosts.compile("one")
    deploy_pipeline(hosts.aws, first)
    hosts.forge(forgery)
    assert hosts.compile("two").definition == first.definition
    assert hosts.compiled_by == ["one", "two"]


def test_a_changed_file_is_not_used(hosts: Hosts, caplog: pytest.LogCaptureFixture) -> None:
    first = hosts.compile("one")
    deploy_pipeline(hosts.aws, first)
    hosts.s3.put_object(Bucket=hosts.config.bucket, Key=first.uploads[0].key, Body=b"changed by somebody")
    hosts.compile("two")
    assert hosts.compiled_by == ["one", "two"]
    assert "is not used, because" in caplog.text


def test_a_version_that_runs_under_another_role_is_not_used(hosts: Hosts, local_sagemaker: Any) -> None:
    first = hosts.compile("one")
    deploy_pipeline(hosts.aws, first)
    local_sagemaker.client("sagemaker").update_pipeline(PipelineName=first.pipeline_name, RoleArn=FOREIGN_ROLE)
    hosts.compile("two")
    assert hosts.compiled_by == ["one", "two"]


def test_code_of_another_host_is_not_used(hosts: Hosts, source: Path) -> None:
    """The key would have to be that of the own sources: somebody copied an older entry there."""
    old = hosts.compile("one")
    deploy_pipeline(hosts.aws, old)
    kept: list[str] = []
    hosts.forge(lambda entry: kept.append(json.dumps(entry)))
    (source / "train.py").write_text((source / "train.py").read_text() + "# mended\n")
    prefix = f"{hosts.config.pipeline_name}/compiled/"
    for found in hosts.s3.list_objects_v2(Bucket=hosts.config.bucket, Prefix=prefix)["Contents"]:
        hosts.s3.delete_object(Bucket=hosts.config.bucket, Key=found["Key"])
    new = hosts.compile("one")
    hosts.forge(lambda entry: entry.update(json.loads(kept[0])))
    assert hosts.compile("two").digest == new.digest != old.digest
