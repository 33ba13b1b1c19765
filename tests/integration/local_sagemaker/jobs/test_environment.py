"""The job's Python: its own environment, requirements from the cache, and a job_python that nothing changes."""

from __future__ import annotations

import os
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.local_jobs import Backend, Jobs, channel, script_request, training_request


def make_distribution(folder: Path, name: str, version: str, value: str) -> Path:
    """Write a wheel by hand: no build tool, no network."""
    import zipfile

    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", f"VALUE = {value!r}\ndef main(): print('script says', VALUE)\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name}-tool = {name}:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_distribution(folder, "cachedthing", "1.0", "one")
    make_distribution(folder, "otherthing", "2.0", "two")
    return folder


INSTALL = """
python3 -m pip install -r "$CODE/requirements.txt" || exit $?
python3 -c "import cachedthing, sys; print('value', cachedthing.VALUE, 'from', cachedthing.__file__)"
cachedthing-tool
python3 -c "import numpy; print('numpy of job_python', bool(numpy.__version__))"
"""


def install_request(wheels: Path, code: str) -> dict[str, object]:
    return training_request(
        ["/bin/bash", "-c", INSTALL],
        Environment={"CODE": "/opt/ml/input/data/code", "PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"},
        InputDataConfig=[channel("code", code)],
    )


def snapshot(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_requirements_are_installed_once_and_leave_job_python_alone(jobs: Jobs, backend: Backend, wheels: Path) -> None:
    backend.put("env/code/requirements.txt", "cachedthing==1.0\n-r more.txt\n")
    backend.put("env/code/more.txt", "otherthing\n")
    site = Path(sysconfig.get_paths()["purelib"])
    before = snapshot(site)
    for name in ("install-first", "install-second"):
        ended = jobs.run(name, install_request(wheels, "env/code"))
        assert ended["TrainingJobStatus"] == "Completed", jobs.log(name)
        assert "value one from" in jobs.log(name)
        assert "script says one" in jobs.log(name)
        assert "numpy of job_python True" in jobs.log(name)
    assert "Successfully installed cachedthing-1.0 otherthing-2.0" in jobs.log("install-first")
    assert "satisfied by the cached environment" in jobs.log("install-second")
    assert "Successfully installed" not in jobs.log("install-second")
    assert snapshot(site) == before


@pytest.mark.slow
def test_other_requirements_get_another_environment(jobs: Jobs, backend: Backend, wheels: Path) -> None:
    backend.put("env/changed/requirements.txt", "cachedthing\n")
    ended = jobs.run("install-changed", install_request(wheels, "env/changed"))
    assert ended["TrainingJobStatus"] == "Completed"
    assert "Successfully installed cachedthing-1.0" in jobs.log("install-changed")
    assert not list((jobs.data_dir / "environments").glob("*.building-*"))


def test_an_installation_that_fails_fails_the_job_with_pips_words_and_leaves_nothing(
    jobs: Jobs, backend: Backend, wheels: Path
) -> None:
    backend.put("env/bad/requirements.txt", "no-such-distribution-anywhere==9\n")
    before = snapshot(jobs.data_dir / "environments")
    ended = jobs.run("install-bad", install_request(wheels, "env/bad"))
    assert ended["TrainingJobStatus"] == "Failed"
    assert "No matching distribution found for no-such-distribution-anywhere==9" in ended["FailureReason"]
    left = {name for name in snapshot(jobs.data_dir / "environments") - before if not name.endswith(".lock")}
    assert left == set()


def test_two_jobs_at_once_build_it_once(jobs: Jobs, backend: Backend, wheels: Path) -> None:
    backend.put("env/race/requirements.txt", "# raced\notherthing\ncachedthing\n")
    names = ["race-1", "race-2"]
    arns = [jobs.submit(name, install_request(wheels, "env/race")) for name in names]
    assert all(jobs.wait(arn)["TrainingJobStatus"] == "Completed" for arn in arns)
    built = [name for name in names if "Successfully installed" in jobs.log(name)]
    assert len(built) == 1


def test_what_a_job_installs_by_itself_stays_its_own(jobs: Jobs, wheels: Path) -> None:
    text = """
import subprocess, sys
subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "otherthing"])
subprocess.check_call([sys.executable, "-c", "import otherthing; print('got', otherthing.VALUE)"])
"""
    environment = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}
    jobs.run("by-itself", script_request(text, Environment=environment))
    assert "got two" in jobs.log("by-itself")
    ended = jobs.run("after-it", script_request("import otherthing"))
    assert "No module named 'otherthing'" in ended["FailureReason"]


def test_the_shims_are_the_jobs_python(jobs: Jobs) -> None:
    words = "for w in python python3 pip pip3 torchrun; do command -v $w; done; pip3 --version; python -V"
    jobs.run("shims", training_request(["/bin/bash", "-c", words]))
    lines = jobs.log("shims").splitlines()
    home = str(jobs.data_dir / "jobs/training/shims/host-1/python/bin")
    assert lines[:5] == [f"{home}/{word}" for word in ("python", "python3", "pip", "pip3", "torchrun")]
    assert lines[5].startswith("pip ")
    assert lines[6] == f"Python {sys.version.split()[0]}"


@pytest.mark.slow
def test_a_job_python_without_pip_can_still_install(backend: Backend, wheels: Path, tmp_path: Path) -> None:
    if not list(Path(os.__file__).parent.glob("ensurepip/_bundled/pip-*.whl")):
        pytest.skip("this Python comes without ensurepip")
    venv.create(tmp_path / "bare", with_pip=False)
    bare = Jobs(backend, tmp_path / "data", job_python=str(tmp_path / "bare/bin/python"))
    backend.put("env/bare/requirements.txt", "cachedthing\n")
    job = install_request(wheels, "env/bare")
    ended = bare.run("bare", job)
    assert "value one from" in bare.log("bare"), bare.log("bare")
    assert ended["TrainingJobStatus"] == "Failed"  # numpy is not there: the packages are job_python's and no other's
    assert "No module named 'numpy'" in ended["FailureReason"]


def test_a_job_python_that_does_not_run_is_named(backend: Backend, tmp_path: Path) -> None:
    broken = Jobs(backend, tmp_path, job_python="/no/such/python")
    ended = broken.run("broken", script_request("print('never')"))
    assert ended["TrainingJobStatus"] == "Failed"
    assert "job_python '/no/such/python' does not run" in ended["FailureReason"]


TOKEN = "very-secret-token-4711"


def test_tokens_in_the_log_are_masked(jobs: Jobs, backend: Backend) -> None:
    text = f"print('Running: pip install -i https://aws:{TOKEN}@domain.example/pypi/simple/ -r r.txt')"
    jobs.run("masked", script_request(text))
    assert "-i https://aws:******@domain.example/pypi/simple/ -r r.txt" in jobs.log("masked")
    events = backend.client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="masked/"
    )["events"]
    assert events
    assert not any(TOKEN in event["message"] for event in events)
