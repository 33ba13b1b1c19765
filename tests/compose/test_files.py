"""What can be said of the stack's files without Docker: completeness, confinement, and that the copies agree."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from local_stack.settings import BUCKET, aws_connection

from tests.compose import images

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yaml"
ONE_SHOT = {"prepare", "aws-check", "test"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())["services"]


def make_env(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "bin" / "make-env", "--file", file, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def settings(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if re.match(r"[A-Z0-9_]+=", line)]
    return {name: value.strip("'") for name, value in (line.split("=", 1) for line in lines)}


def test_every_service_is_confined_and_limited(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"] not in ("", "root", "0"), name
        assert {"mem_limit", "pids_limit", "cpus"} <= set(service), name
        assert "privileged" not in service, name


def test_each_image_is_built_by_one_service(services: dict[str, Any]) -> None:
    built = [service["image"] for service in services.values() if "build" in service]
    assert len(built) == len(set(built))
    ours = {service["image"] for service in services.values() if "AIRFLOW_SAGEMAKER_IMAGE" in service["image"]}
    assert set(built) == ours


def test_what_runs_on_is_restarted_and_watched(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped"), name
        assert ("healthcheck" in service) == (name not in ONE_SHOT), name


def test_ports_are_on_loopback_unless_told_otherwise(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"api-server", "local-sagemaker"}
    for ports in published.values():
        assert all(port.startswith(("127.0.0.1:", "${AIRFLOW_BIND:-127.0.0.1}:")) for port in ports)


def test_no_secret_has_a_default() -> None:
    text = COMPOSE.read_text()
    for name in ("FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "ADMIN_PASSWORD"):
        uses = set(re.findall(rf"\$\{{{name}([^}}]*)\}}", text))
        assert uses == {f":?run bin/make-env to set {name}"}


def test_the_example_names_every_setting_and_no_other() -> None:
    code = re.sub(r"^\s*#.*$", "", COMPOSE.read_text(), flags=re.MULTILINE)
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", code)) | {"COMPOSE_PROFILES"}
    passed_on = set(re.findall(r"^  (AWS_[A-Z0-9_]+):$", COMPOSE.read_text(), re.MULTILINE))
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == used | passed_on


def test_image_names_agree_with_the_stand_ins() -> None:
    text = COMPOSE.read_text() + (ROOT / "Dockerfile").read_text()
    assert all(tag in text for tag in images.TAGS.values())
    version = re.search(r"^apache-airflow==(.*)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert version is not None
    assert f"apache/airflow:slim-{version[1]}-python3.11" in images.TAGS.values()


def test_the_images_packages_are_pinned() -> None:
    pinned = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    folder = ROOT / "deploy" / "docker"
    for name in ("airflow.in", "local.in", "test.in"):
        wanted = {line for line in (folder / name).read_text().split("\n") if line and not line.startswith("#")}
        assert {package.lower() for package in wanted} <= pinned, name
    extra = [line for line in (folder / "extra.txt").read_text().splitlines() if not line.startswith("#")]
    assert all("==" in line for line in extra)
    assert not {line.split("==")[0] for line in extra} & pinned


def test_make_env_makes_what_the_stack_asks_for(tmp_path: Path) -> None:
    file = tmp_path / "env"
    assert make_env(file).returncode == 0
    made = settings(file)
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert len(base64.urlsafe_b64decode(made["FERNET_KEY"])) == 32
    assert len(made["JWT_SECRET"]) >= 32
    required = set(re.findall(r"\$\{([A-Z0-9_]+):\?", COMPOSE.read_text()))
    assert all(made[name] for name in required)


def test_make_env_never_changes_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "env"
    make_env(file)
    before = settings(file)
    again = make_env(file)
    assert "nothing changed" in again.stdout
    assert settings(file) == before
    role = "arn:aws:iam::123456789012:role/r"
    make_env(file, "--aws", "--bucket", "b-1", "--role-arn", role, "--region", "eu-west-1", "--celery")
    after = settings(file)
    assert {name for name in after if after[name] != before.get(name)} == {
        "COMPOSE_PROFILES",
        "AIRFLOW_EXECUTOR",
        "AIRFLOW_CONN_AWS_DEFAULT",
        "AWS_EC2_METADATA_DISABLED",
    }
    assert json.loads(after["AIRFLOW_CONN_AWS_DEFAULT"])["extra"] == {
        "region_name": "eu-west-1",
        "service_config": {"s3": {"bucket_name": "b-1"}, "sagemaker": {"execution_role_arn": role}},
    }


def test_make_env_fills_a_copy_of_the_example_and_keeps_its_comments(tmp_path: Path) -> None:
    file = tmp_path / "env"
    shutil.copy(ROOT / ".env.example", file)
    make_env(file)
    assert settings(file)["FERNET_KEY"]
    assert json.loads(settings(file)["AIRFLOW_CONN_AWS_DEFAULT"])["conn_type"] == "aws"
    assert "# --- images ---" in file.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--aws"], "--bucket, --role-arn, --region"),
        (["--bucket", "b"], "belong to --aws"),
        (["--aws", "--local"], "not"),
    ],
)
def test_make_env_says_what_is_missing(tmp_path: Path, options: list[str], words: str) -> None:
    file = tmp_path / "env"
    done = make_env(file, *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert not file.exists()


def test_make_env_names_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "no-folder" / "env"
    done = make_env(file)
    assert (done.returncode, done.stderr.strip()) == (
        1,
        f"make-env: {file} cannot be written: No such file or directory",
    )


def test_the_connection_is_the_single_machines_with_other_hosts(tmp_path: Path) -> None:
    file = tmp_path / "env"
    make_env(file)
    made = json.loads(settings(file)["AIRFLOW_CONN_AWS_DEFAULT"])
    assert made["extra"].pop("config_kwargs") == {"s3": {"addressing_style": "path"}}
    aws = {
        "AWS_ACCESS_KEY_ID": settings(file)["LOCAL_SAGEMAKER_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": settings(file)["LOCAL_SAGEMAKER_SECRET_ACCESS_KEY"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://local-sagemaker:4600",
        "AWS_ENDPOINT_URL_S3": "http://local-sagemaker:4601",
    }
    role = "arn:aws:iam::123456789012:role/LocalSageMakerRole"
    assert made == json.loads(aws_connection(aws, bucket=BUCKET, role_arn=role))


def requirement_names(file: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9][a-z0-9-]*)(?:==|$)", file.read_text(), re.MULTILINE))


def test_plugins_zip_is_the_same_each_time_and_keeps_the_ignore_file(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        subprocess.run([ROOT / "deploy" / "mwaa" / "package", tmp_path / name], check=True, capture_output=True)
        archives.append((tmp_path / name / "plugins.zip").read_bytes())
    assert archives[0] == archives[1]
    names = zipfile.ZipFile(tmp_path / "one" / "plugins.zip").namelist()
    assert {".airflowignore", "airflow_sagemaker/__init__.py"} <= set(names)
    pinned = requirement_names(tmp_path / "one" / "requirements.txt")
    assert requirement_names(ROOT / "preprocessing" / "requirements.txt") <= pinned, "at the versions of the image"
    assert not any(name.startswith("sagemaker") for name in pinned), "the image cannot have the SDK"
    assert (tmp_path / "one" / "dags" / "training" / "train.py").is_file()
    ignored = (tmp_path / "one" / "dags" / ".airflowignore").read_text().split()
    assert ignored == ["flight_delay/", "preprocessing/", "training/"]


def test_helm_values_hold_no_secret() -> None:
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "values.yaml").read_text())
    assert values["executor"] == "KubernetesExecutor"
    assert {"fernetKey", "jwtSecret", "apiSecretKey"}.isdisjoint(values)
    assert "metadataConnection" not in values["data"]


def test_helms_pgbouncer_has_files_of_its_own_because_the_database_is_a_secret() -> None:
    """The chart builds PgBouncer's files from data.metadataConnection, and Airflow's address from the secret."""
    text = (ROOT / "deploy" / "helm" / "values.yaml").read_text()
    values = yaml.safe_load(text)
    pooler = values["pgbouncer"]
    assert pooler["enabled"]
    named = {
        values["data"]["metadataSecretName"],
        pooler["configSecretName"],
        pooler["metricsExporterSidecar"]["statsSecretName"],
        *(values[name] for name in ("fernetKeySecretName", "jwtSecretName", "apiSecretKeySecretName")),
        *(secret["secretName"] for secret in values["secret"]),
    }
    assert set(re.findall(r"^#   kubectl create secret generic (\S+)", text, re.MULTILINE)) == named


class Template(yaml.SafeLoader):
    """CloudFormation's YAML: short forms such as !Sub become their argument."""


Template.add_multi_constructor("!", lambda loader, _suffix, node: getattr(node, "value", None) and str(node.value))


def test_the_documented_policies_are_the_templates() -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "iam" / "generate.py", "--check"], check=True)
    for path in (ROOT / "docs" / "iam").glob("*.json"):
        for statement in json.loads(path.read_text())["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "*" not in json.dumps(statement["Action"]), path.name
            assert "${" not in json.dumps(statement), path.name


def test_the_templates_airflow_may_write_the_logs_that_helm_puts_into_its_bucket() -> None:
    logging = yaml.safe_load((ROOT / "deploy" / "helm" / "values.yaml").read_text())["config"]["logging"]
    bucket, _, folder = logging["remote_base_log_folder"].removeprefix("s3://").partition("/")
    assert bucket == "<bucket>"
    path = ROOT / "deploy" / "cloudformation" / "airflow-sagemaker.yaml"
    policy = yaml.load(path.read_text(), Loader=Template)["Resources"]["PreprocessingPolicy"]["Properties"][
        "PolicyDocument"
    ]
    (objects,) = [statement for statement in policy["Statement"] if statement["Sid"] == "Objects"]
    assert {"s3:GetObject", "s3:PutObject"} <= set(objects["Action"])
    assert f"${{Bucket.Arn}}/{folder}/*" in objects["Resource"]


@pytest.mark.skipif(not shutil.which("cfn-lint"), reason="cfn-lint is not installed")
def test_cloudformation_is_clean() -> None:
    subprocess.run(["cfn-lint", ROOT / "deploy" / "cloudformation" / "airflow-sagemaker.yaml"], check=True)


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
@pytest.mark.parametrize("profiles", ["local", "aws", "local,celery", "local,test", "aws,celery,test"])
def test_compose_reads_the_file(tmp_path: Path, profiles: str) -> None:
    file = tmp_path / "env"
    make_env(file)
    command = ["docker-compose", "--env-file", file, "--file", COMPOSE, "config", "--quiet"]
    environment = {**os.environ, "COMPOSE_PROFILES": profiles}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
