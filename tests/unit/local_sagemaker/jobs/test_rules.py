"""Rules that need no process: key names, failure reasons, refusals, requirement files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.jobs.failure import LIMIT, algorithm_error
from local_sagemaker.jobs.host.container import Cluster, Paths
from local_sagemaker.jobs.host.handle import HostLayout
from local_sagemaker.jobs.host.in_job.pip_cache import digest_of, parse_install, requirement_texts
from local_sagemaker.jobs.host.python_environment import JobPython
from local_sagemaker.jobs.logs import batches
from local_sagemaker.jobs.transfer.archive import write_archive
from local_sagemaker.jobs.transfer.s3 import S3Problem, S3Uri, safe_path
from local_sagemaker.requests.checks import refusals


@given(st.text(max_size=40))
def test_a_key_name_stays_below_its_folder_or_is_refused(name: str) -> None:
    folder = Path("/data/channel")
    try:
        path = safe_path(folder, name)
    except S3Problem:
        return
    assert path.is_relative_to(folder)
    assert path != folder
    assert ".." not in path.parts


def test_s3_uris() -> None:
    assert S3Uri.parse("s3://bucket/a/b") == S3Uri("bucket", "a/b")
    assert str(S3Uri("bucket", "a/").child("b", "", "c")) == "s3://bucket/a/b/c"
    for wrong in ("http://bucket/a", "s3://", "bucket/a", ""):
        with pytest.raises(S3Problem, match="is not an S3 URI"):
            S3Uri.parse(wrong)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("/opt/ml/model", "/jobs/j/ml/model"),
        ("cat '/opt/ml'", "cat '/jobs/j/ml'"),
        ("/opt/mlflow and /opt/ml-x", "/opt/mlflow and /opt/ml-x"),
    ],
)
def test_rewriting_touches_whole_path_names_only(seen: str, expected: str) -> None:
    layout = HostLayout(Path("/jobs/j"))
    assert Paths(layout, mount=False).seen(seen) == expected
    assert Paths(layout, mount=True).seen(seen) == seen


DRIVER_FAILURE = "Traceback (most recent call last):\nsubprocess.CalledProcessError: Command '['python3']' returned 1."
DRIVER_TAIL = [
    "Environment Variables:",
    "SM_MODEL_DIR=/opt/ml/model",
    "Executing command: python3 train.py",
    "epoch 1",
    "Traceback (most recent call last):",
    '  File "train.py", line 3, in <module>',
    "KeyError: 'target'",
    "Command failed with exit code 1. Traceback: Traceback (most recent call last):",
    "subprocess.CalledProcessError: Command '['python3']' returned non-zero exit status 1.",
    "++ handle_error",
    "An error occurred with exit code 1",
]


def test_the_users_traceback_is_told_not_the_drivers() -> None:
    reason = algorithm_error(DRIVER_FAILURE, DRIVER_TAIL, 1)
    assert reason.startswith("AlgorithmError: Traceback")
    assert reason.endswith("in <module>\nKeyError: 'target', exit code: 1")


def test_a_program_that_dies_without_a_word_of_its_own_is_no_dump_of_the_environment() -> None:
    reason = algorithm_error(DRIVER_FAILURE, [*DRIVER_TAIL[:4], DRIVER_TAIL[-1]], 137)
    assert reason == "AlgorithmError: epoch 1, exit code: 137"


def test_a_programs_own_words_stand_alone() -> None:
    reason = algorithm_error("label has one class only\n", DRIVER_TAIL, 2)
    assert reason == "AlgorithmError: label has one class only, exit code: 2"


@given(st.text(max_size=3000), st.lists(st.text(max_size=300), max_size=30), st.integers(1, 255))
def test_a_reason_is_never_too_long(said: str, tail: list[str], code: int) -> None:
    reason = algorithm_error(said, tail, code)
    assert len(reason) <= LIMIT
    assert reason.startswith("AlgorithmError: ")
    assert reason.endswith(f", exit code: {code}")


MEMBERS = [
    *("AlgorithmSpecification", "InputDataConfig", "DataSource", "S3DataSource", "S3DataType", "ResourceConfig", "Get"),
    *("HyperParameters", "ProcessingInputs", "S3Input", "ProcessingOutputConfig", "Outputs", "NetworkConfig"),
]
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(MEMBERS), json_like, max_size=5), st.sampled_from(["training", "processing"]))
def test_refusing_survives_any_structure(request: dict[str, Any], kind: Any) -> None:
    assert all(refusals(f"Create{kind.capitalize()}Job", request))


@pytest.mark.parametrize(
    ("kind", "member", "value", "named"),
    [
        ("training", "InputDataConfig", [{"ChannelName": "a", "DataSource": {}}], "DataSource without S3DataSource"),
        ("training", "InputDataConfig", [{"ChannelName": "a"}, {"ChannelName": "a"}], "[1].ChannelName a"),
        ("training", "ResourceConfig", {"InstanceCount": 0}, "ResourceConfig.InstanceCount 0"),
        ("processing", "ProcessingInputs", [{"S3Input": {"S3Uri": "s3://b/k"}}], "[0].S3Input without LocalPath"),
        (
            "processing", "ProcessingInputs", [{"S3Input": {"LocalPath": "/x", "S3CompressionType": "Gzip"}}],
            "[0].S3Input.S3CompressionType Gzip",
        ),
    ],
)  # fmt: skip
def test_a_legal_request_that_no_job_could_run_is_refused(kind: Any, member: str, value: Any, named: str) -> None:
    program = {"training": "AlgorithmSpecification", "processing": "AppSpecification"}[kind]
    request = {program: {"ContainerEntrypoint": ["true"]}, member: value}
    (found,) = refusals(f"Create{kind.capitalize()}Job", request)
    assert f"{named} is not supported" in found


def test_references_are_not_refused() -> None:
    request = {
        "AlgorithmSpecification": {"ContainerEntrypoint": ["x"], "TrainingInputMode": {"Get": "Parameters.Mode"}},
        "InputDataConfig": [{"DataSource": {"S3DataSource": {"S3DataType": {"Get": "Parameters.T"}}}}],
        "ResourceConfig": {"KeepAlivePeriodInSeconds": {"Get": "Parameters.Keep"}},
    }
    assert refusals("CreateTrainingJob", request) == []


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("install -r requirements.txt", "requirements.txt"),
        ("install --requirement=a.txt -i https://x/simple --no-cache-dir", "a.txt"),
        ("install -r a.txt -r b.txt", None),
        ("install numpy", None),
        ("install -U -r a.txt", None),
        ("install --target x -r a.txt", None),
        ("download -r a.txt", None),
        ("install -r", None),
        ("", None),
    ],
)
def test_only_a_plain_requirements_installation_is_cached(command: str, file: str | None) -> None:
    assert parse_install(command.split()) == file


@pytest.mark.parametrize(
    "line", ["-e .", "./local", "pkg @ file:///x", "../x.whl", "x.whl", "--find-links /w", "/abs/x"]
)
def test_requirements_that_name_local_paths_are_not_cached(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.txt").write_text(f"numpy\n{line}\n")
    with pytest.raises(ValueError, match="names a local path"):
        list(requirement_texts(tmp_path / "r.txt", set()))


def test_included_requirements_count_and_may_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r sub/b.txt\nnumpy\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b.txt").write_text("-c ../a.txt\npandas\n")
    assert list(requirement_texts(tmp_path / "a.txt", set())) == ["-r sub/b.txt\nnumpy\n", "-c ../a.txt\npandas\n"]


@given(st.lists(st.text(max_size=50), max_size=200))
def test_batches_hold_every_line_in_order(lines: list[str]) -> None:
    cut = batches([(n, line) for n, line in enumerate(lines)])
    assert [event["message"] for batch in cut for event in batch] == [line or " " for line in lines]


def test_batches_respect_the_size_limit() -> None:
    cut = batches([(0, "x" * 60_000)] * 50)
    assert len(cut) > 3
    assert all(sum(len(event["message"]) + 26 for event in batch) <= 1_048_576 for batch in cut)


def test_an_empty_folder_makes_no_archive(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert write_archive([(tmp_path, tmp_path / "model")], tmp_path / "model.tar.gz", 1) is False
    assert not (tmp_path / "model.tar.gz").exists()


def test_hosts_of_two_slots_have_different_addresses() -> None:
    first, second = (Cluster.of(3, "ml.m5.large", slot) for slot in (0, 1))
    assert len({*first.addresses, *second.addresses}) == 6
    assert first.resource_config("algo-2")["hosts"] == ["algo-1", "algo-2", "algo-3"]
    assert "algo-3" in first.hosts_file()


def test_job_python_is_asked_for_its_real_interpreter() -> None:
    import sys

    found = JobPython.ask(sys.executable)
    assert found.version == sys.version_info[:3]
    assert found.sites
    assert Path(found.executable).is_file()


def test_a_new_token_or_port_is_no_other_environment_but_another_index_is(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("numpy\n")

    def digest(index: str, sites: list[str] | None = None) -> str:
        return digest_of(tmp_path / "r.txt", ["install", "-r", "r.txt", "-i", index], sites or [])

    first = digest("http://aws:token1@127.0.0.1:4000/codeartifact/d/r/simple/")
    assert digest("http://aws:token2@127.0.0.1:5000/codeartifact/d/r/simple/") == first
    assert digest("http://aws:token1@127.0.0.1:4000/codeartifact/d/other/simple/") != first
    assert digest("http://aws:token1@127.0.0.1:4000/codeartifact/d/r/simple/", [str(tmp_path)]) != first
    (tmp_path / "r.txt").write_text("numpy==2\n")
    assert digest("http://aws:token1@127.0.0.1:4000/codeartifact/d/r/simple/") != first
