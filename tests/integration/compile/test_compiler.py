"""The compiler: what a definition depends on and what not, its process, its cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.config.request_shapes import create_training_job_shape, shape_violations
from airflow_sagemaker.definition.compiler import compile_pipeline
from airflow_sagemaker.definition.disk_cache import DiskCache
from airflow_sagemaker.exceptions import CompileError, CompileTimeout, ConfigurationError, SdkNotAvailable
from airflow_sagemaker.kinds.training.parameters import parameter_types
from tests.support.deployed import step, substituted
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


def test_a_definition_holds_nothing_of_one_run(config: PytorchTrainingConfig) -> None:
    compiled = compile_pipeline(config)
    content = json.loads(compiled.definition)
    assert not any("DefaultValue" in parameter for parameter in content["Parameters"])
    assert {p["Name"]: p["Type"] for p in content["Parameters"]} == parameter_types(config.hyperparameters.scalars())
    for one_run in ("2013-07-04", "ml.m5.large", "pytorch-training:2.10", "0.001"):
        assert one_run not in compiled.definition
    assert set(config.pipeline_parameters()) == {parameter["Name"] for parameter in content["Parameters"]}
    other = config.updated(
        partition="2014-01-01",
        training_instance_type="ml.g5.xlarge",
        training_instance_count=3,
        hyperparameters=config.hyperparameters.updated(learning_rate=0.5, epochs=99),
    )
    assert compile_pipeline(other).digest == compiled.digest


def test_the_arguments_are_ones_that_create_training_job_takes(config: PytorchTrainingConfig) -> None:
    arguments = substituted(step(compile_pipeline(config).definition)["Arguments"], config.pipeline_parameters())
    request = {"TrainingJobName": "job", **arguments}
    assert list(shape_violations("request", request, create_training_job_shape())) == []
    uri = arguments["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    assert uri == "s3://compile-tests/pytorch-training/input/2013-07-04/train/train.parquet"


def test_the_jobs_may_run_under_a_role_of_their_own(config: PytorchTrainingConfig) -> None:
    own = "arn:aws:iam::123456789012:role/Jobs"
    compiled = compile_pipeline(config.updated(job_role_arn=own))
    assert (compiled.role_arn, step(compiled.definition)["Arguments"]["RoleArn"]) == (config.role_arn, own)


def test_digest_and_uploads_are_of_the_content(config: PytorchTrainingConfig) -> None:
    compiled = compile_pipeline(config)
    assert compiled.digest == hashlib.sha256(compiled.definition.encode()).hexdigest()
    assert compiled.version_alias == f"d-{compiled.digest}"
    names = {upload.key.split("/", 3)[3] for upload in compiled.uploads}
    assert {"train.py", "sm_train.sh", "scripts/environment.py"} <= names
    for upload in compiled.uploads:
        content = Path(upload.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == upload.sha256
        assert (len(content), upload.bucket) == (upload.size, "compile-tests")


def test_the_same_sources_at_another_path_and_time_give_the_same_bytes(
    config: PytorchTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "another place"
    shutil.copytree(config.source_dir, elsewhere, copy_function=shutil.copyfile)
    (elsewhere / "__pycache__").mkdir()
    for left in ("__pycache__/train.pyc", ".train.py.swo", "#train.py#", "train.py~"):
        (elsewhere / left).write_bytes(b"x")
    first = compile_pipeline(config)
    monkeypatch.chdir(tmp_path)
    again = compile_pipeline(config.updated(source_dir="another place"), cache=DiskCache(tmp_path / "cache"))
    assert again.definition == first.definition
    assert [upload.key for upload in again.uploads] == [upload.key for upload in first.uploads]


def test_a_copy_of_the_project_elsewhere_gives_the_same_digest(config: PytorchTrainingConfig, tmp_path: Path) -> None:
    copy = tmp_path / "somewhere else" / "project"
    for part in ("plugins/airflow_sagemaker", "training"):
        shutil.copytree(ROOT / part, copy / part, copy_function=shutil.copyfile)
    config = PytorchTrainingConfig.from_dict(
        {name: value for name, value in config.to_dict().items() if name != "source_dir"}
    )
    (copy / "training.yaml").write_text(json.dumps(config.to_dict()))
    for path in copy.rglob("*"):  # other times, other rights
        os.utime(path, (86400, 86400))
        path.chmod(0o700 if path.is_dir() else 0o600)
    another = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "USER": "somebody", "LOGNAME": "somebody",
        "TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8", "LC_ALL": "C", "PYTHONHASHSEED": "7", "PYTHONUTF8": "0",
        "AWS_DEFAULT_REGION": "ap-northeast-1", "AWS_PROFILE": "theirs", "SAGEMAKER_ROLE": "theirs",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "airflow_sagemaker", "compile", str(copy / "training.yaml"), "--json"],
        cwd=copy / "plugins",
        env=another,
        umask=0o077,
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert json.loads(done.stdout)["digest"] == compile_pipeline(config).digest


def test_one_changed_byte_changes_the_digest(config: PytorchTrainingConfig) -> None:
    before = compile_pipeline(config)
    program = Path(config.source_dir) / "train.py"
    program.write_text(program.read_text() + " ")
    assert compile_pipeline(config).digest != before.digest


def test_a_second_compile_comes_from_the_cache(config: PytorchTrainingConfig) -> None:
    children: list[Any] = []
    first = compile_pipeline(config, on_child=children.append)
    children.clear()
    assert compile_pipeline(config, on_child=children.append) == first
    assert children == []


def test_a_damaged_cache_is_compiled_anew(config: PytorchTrainingConfig, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    first = compile_pipeline(config, cache=cache)
    (entry,) = (tmp_path / "cache" / "compiled").glob("*.json")
    key = entry.stem
    assert cache.get(key) is not None
    program = next(Path(upload.path) for upload in first.uploads if upload.key.endswith("/train.py"))
    program.write_bytes(program.read_bytes().swapcase())  # as long as before
    assert cache.get(key) is None
    program.unlink()
    assert cache.get(key) is None
    entry.write_text("{half")
    assert cache.get(key) is None
    assert compile_pipeline(config, cache=cache) == first


def test_of_many_cold_starts_one_compiles(config: PytorchTrainingConfig, tmp_path: Path) -> None:
    children: list[Any] = []
    cache = DiskCache(tmp_path / "cache")

    def compiled(_: int) -> str:
        return compile_pipeline(config, cache=cache, on_child=children.append).digest

    with ThreadPoolExecutor(30) as pool:
        digests = set(pool.map(compiled, range(30)))
    assert (len(digests), len(children)) == (1, 1)


def test_the_child_sees_no_credentials_and_its_words_are_forwarded(
    config: PytorchTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _module(tmp_path, monkeypatch, "nosy_steps", """
        import os, sys
        def steps():
            print("SEEN", sorted(name for name in os.environ if name.startswith("AWS")), sys.stdin.read() == "")
            print("SESSION", os.getsid(0) == os.getpid())
            return []
    """)  # fmt: skip
    with caplog.at_level(logging.INFO, logger="airflow_sagemaker.definition.compiler"):
        compile_pipeline(config, dependencies=["nosy_steps:steps"])
    assert "SEEN ['AWS_DEFAULT_REGION', 'AWS_EC2_METADATA_DISABLED'] True" in caplog.text
    assert "SESSION True" in caplog.text


def test_steps_around_the_training(
    config: PytorchTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path, monkeypatch, "steps_around", """
        from sagemaker.core.workflow.conditions import ConditionGreaterThan
        from sagemaker.mlops.workflow.condition_step import ConditionStep
        from sagemaker.mlops.workflow.fail_step import FailStep

        def before():
            return FailStep(name="Before")

        def after(context):
            auc = context.training_step.properties.FinalMetricDataList["Validation AUC ROC"].Value
            path = context.variables["OutputPath"]
            return ConditionStep(name="Good", conditions=[ConditionGreaterThan(left=auc, right=0.6)],
                                 if_steps=[], else_steps=[FailStep(name="Bad", error_message=path)])
    """)  # fmt: skip
    compiled = compile_pipeline(config, dependencies=["steps_around:before"], followups=["steps_around:after"])
    assert step(compiled.definition)["DependsOn"] == ["Before"]
    condition = step(compiled.definition, "Good")["Arguments"]
    assert "Steps.Train.FinalMetricDataList['Validation AUC ROC'].Value" in json.dumps(condition["Conditions"])
    (tmp_path / "steps_around.py").write_text((tmp_path / "steps_around.py").read_text().replace("0.6", "0.7"))
    again = compile_pipeline(config, dependencies=["steps_around:before"], followups=["steps_around:after"])
    assert again.digest != compiled.digest


def test_an_aws_call_of_a_step_is_refused(
    config: PytorchTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path, monkeypatch, "calling_steps", """
        def steps(context):
            context.session.boto_session.client("s3").list_buckets()
    """)  # fmt: skip
    with pytest.raises(CompileError, match=r"compiling must not call AWS, but a step called s3\.ListBuckets"):
        compile_pipeline(config, dependencies=["calling_steps:steps"])


@pytest.mark.parametrize("reference", ["no_such_module:steps", "json:no_such_function"])
def test_a_reference_to_nothing_is_named(config: PytorchTrainingConfig, reference: str) -> None:
    with pytest.raises(CompileError, match=reference.split(":")[0 if "module" in reference else 1]):
        compile_pipeline(config, dependencies=[reference])


def test_a_compile_that_takes_too_long_is_ended(
    config: PytorchTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path, monkeypatch, "slow_steps", """
        import time
        def steps():
            time.sleep(600)
    """)  # fmt: skip
    children: list[Any] = []
    with pytest.raises(CompileTimeout, match="took longer than 1 s"):
        compile_pipeline(config, dependencies=["slow_steps:steps"], timeout_seconds=1, on_child=children.append)
    assert children[0].returncode == -signal.SIGKILL


def test_a_killed_child_is_told_apart(config: PytorchTrainingConfig, tmp_path: Path) -> None:
    def end(process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGTERM)

    with pytest.raises(CompileError, match="was killed by signal 15 without a result"):
        compile_pipeline(config, on_child=end, cache=DiskCache(tmp_path / "cache"))


def test_the_child_dies_with_its_parent(config: PytorchTrainingConfig, tmp_path: Path) -> None:
    (tmp_path / "endless_steps.py").write_text("import time\ndef steps():\n    time.sleep(600)\n")
    code = f"""
        import sys
        sys.path[:0] = {[str(ROOT / "plugins"), str(tmp_path)]!r}
        from airflow_sagemaker import PytorchTrainingConfig
        from airflow_sagemaker.definition.compiler import compile_pipeline
        compile_pipeline(PytorchTrainingConfig.from_dict({config.to_dict()!r}), dependencies=["endless_steps:steps"],
                         on_child=lambda process: print(process.pid, flush=True))
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    wait_until(lambda: "SigIgn" in Path(f"/proc/{child}/status").read_text(), "the child")
    time.sleep(0.5)  # the child asks for the signal in its first lines; before that it checks its parent
    parent.kill()
    parent.wait()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the child's end")


def test_what_is_missing_is_said_at_once(config: PytorchTrainingConfig) -> None:
    bare = PytorchTrainingConfig(hyperparameters=config.hyperparameters, source_dir="/nowhere")
    with pytest.raises(ConfigurationError) as caught:
        compile_pipeline(bare)
    assert {violation.field for violation in caught.value.violations} == {"bucket", "role_arn", "region", "source_dir"}


def test_an_interpreter_without_the_sdk_is_named(config: PytorchTrainingConfig, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    with pytest.raises(SdkNotAvailable, match="has no SageMaker SDK; install"):
        compile_pipeline(config, sdk_python=str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(SdkNotAvailable, match="cannot be run"):
        compile_pipeline(config, sdk_python="/nowhere/python")
    with pytest.raises(SdkNotAvailable, match="is not a Python interpreter"):
        compile_pipeline(config, sdk_python=shutil.which("true"))


def test_another_interpreter_with_the_sdk_gives_the_same(config: PytorchTrainingConfig, tmp_path: Path) -> None:
    import sysconfig

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "sdk")], check=True)
    (packages,) = (tmp_path / "sdk" / "lib").glob("python3*/site-packages")
    (packages / "sdk.pth").write_text(sysconfig.get_path("purelib") + "\n")
    other = str(tmp_path / "sdk" / "bin" / "python")
    compiled = compile_pipeline(config, sdk_python=other, cache=DiskCache(tmp_path / "cache"))
    assert compiled.definition == compile_pipeline(config).definition


def test_hyperparameters_of_ones_own_compile(config: PytorchTrainingConfig) -> None:
    from airflow_sagemaker import ModelHyperparameters

    class Mine(ModelHyperparameters):
        trees: int = 100
        sizes: tuple[int, ...] = (8, 4)

    compiled = compile_pipeline(config.updated(hyperparameters=Mine(**config.hyperparameters.model_dump())))
    hyperparameters = step(compiled.definition)["Arguments"]["HyperParameters"]
    assert hyperparameters["trees"] == {"Get": "Parameters.HyperparameterTrees"}
    assert json.loads(hyperparameters["sizes"]) == [8, 4]


def _module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(str(folder))


def test_what_a_killed_compile_left_is_removed_a_day_later(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    old, young = (tmp_path / "cache" / "work" / name for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
        (folder / "request.json").write_text("{}")
    yesterday = time.time() - 90_000
    os.utime(old, (yesterday, yesterday))
    with cache.work_folder() as folder:
        assert folder.parent == old.parent.resolve()
    assert (old.exists(), young.exists(), folder.exists()) == (False, True, False)


def test_what_nobody_used_for_a_month_is_forgotten(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    for key, content in (("old", b"a"), ("young", b"b")):
        work = tmp_path / key
        work.write_bytes(content)
        with cache.lock(key, 1):
            cache.put(key, {"uploads": [{"path": str(work), "sha256": hashlib.sha256(content).hexdigest()}]})
    month_ago = time.time() - 31 * 86400
    for path in (tmp_path / "compiled" / "old.json", cache.blob(hashlib.sha256(b"a").hexdigest())):
        os.utime(path, (month_ago, month_ago))
    cache.put("new", {"uploads": []})
    kept = {path.name for folder in ("compiled", "files") for path in (tmp_path / folder).iterdir()}
    assert kept == {"young.json", "young.lock", "new.json", hashlib.sha256(b"b").hexdigest()}


def test_a_damaged_entry_or_one_that_goes_away_is_none(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    for content in ("[]", '{"uploads": [{}]}', '{"uploads": 3}', "not json"):
        (tmp_path / "compiled" / "key.json").write_text(content)
        assert cache.get("key") is None


def test_a_cache_that_cannot_be_made_says_which_setting_helps(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CompileError, match="AIRFLOW_SAGEMAKER_CACHE_DIR"):
        DiskCache(tmp_path / "file")


def test_a_cache_that_cannot_be_written_says_so(config: PytorchTrainingConfig, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    (tmp_path / "work").rmdir()
    (tmp_path / "work").write_text("")
    with pytest.raises(CompileError, match=r"cache .* cannot be used: .*AIRFLOW_SAGEMAKER_CACHE_DIR"):
        compile_pipeline(config, cache=cache)


def test_a_user_without_a_home_needs_the_setting_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("AIRFLOW_SAGEMAKER_CACHE_DIR", raising=False)
    with pytest.raises(CompileError, match="set AIRFLOW_SAGEMAKER_CACHE_DIR"):
        DiskCache()
    monkeypatch.setenv("AIRFLOW_SAGEMAKER_CACHE_DIR", str(tmp_path))
    assert DiskCache().folder == tmp_path
