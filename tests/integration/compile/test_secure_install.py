"""A job that installs its requirements from CodeArtifact: the package arrives, the token is seen by nobody else."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import ssl
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.cli import main

TOKEN = "the-secret-token-of-this-repository"
WHEEL = "securething-1.0-py3-none-any.whl"
ROOT = Path(__file__).resolve().parents[3]
ACTIONS = {
    "/v1/authorization-token": "codeartifact:GetAuthorizationToken",
    "/v1/repository/endpoint": "codeartifact:GetRepositoryEndpoint",
    "/pypi/repo/": "codeartifact:ReadFromRepository",
}
PROGRAM = """
import securething

for name in ("Train Loss", "Validation Loss", "Validation F1 Score", "Validation AUC ROC"):
    print(f"{name}: {securething.VALUE}")
"""


@dataclass
class Repository:
    """CodeArtifact's two calls and the index behind them, over TLS on loopback: only here does a URL hold the token."""

    url: str
    folder: Path
    asked: list[str] = field(default_factory=list)

    def reply(self, path: str, authorization: str) -> tuple[int, str, bytes]:
        self.asked.append(path)
        if path.startswith("/v1/authorization-token"):
            return 200, "application/json", json.dumps({"authorizationToken": TOKEN}).encode()
        if path.startswith("/v1/repository/endpoint"):
            return 200, "application/json", json.dumps({"repositoryEndpoint": f"{self.url}/pypi/repo/"}).encode()
        if authorization != "Basic " + base64.b64encode(f"aws:{TOKEN}".encode()).decode():
            return 401, "text/plain", b"who are you?"
        if path == "/pypi/repo/simple/securething/":
            return 200, "text/html", f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
        if path == f"/files/{WHEEL}":
            return 200, "application/octet-stream", (self.folder / WHEEL).read_bytes()
        return 404, "text/plain", b"no such project"

    @property
    def rights_needed(self) -> set[str]:
        """The actions of IAM behind what was asked for."""
        found = {action for path in self.asked for place, action in ACTIONS.items() if path.startswith(place)}
        return found | {"sts:GetServiceBearerToken"}  # CodeArtifact asks for it when it makes the token


def rights_given() -> set[str]:
    policy = json.loads((ROOT / "docs" / "iam" / "job-role-codeartifact.json").read_text())
    listed = [statement["Action"] for statement in policy["Statement"]]
    return {action for actions in listed for action in (actions if isinstance(actions, list) else [actions])}


def make_wheel(folder: Path) -> None:
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr("securething.py", "VALUE = 0.75\n")
        archive.writestr(
            "securething-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: securething\nVersion: 1.0\n"
        )
        archive.writestr(
            "securething-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("securething-1.0.dist-info/RECORD", "")


def make_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    builder = builder.add_extension(address, critical=False)
    certificate = builder.add_extension(x509.BasicConstraints(True, None), critical=True).sign(key, hashes.SHA256())
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    make_wheel(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = served.reply(self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == 401:
                self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(tmp_path))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    served = Repository(f"https://127.0.0.1:{server.server_address[1]}", tmp_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield served
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("package", "code"), [("securething", 0), pytest.param("missingthing", 1, marks=pytest.mark.slow)]
)
def test_the_token_reaches_pip_and_nobody_else(
    config: PytorchTrainingConfig,
    local_sagemaker: Any,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    package: str,
    code: int,
) -> None:
    source = Path(config.source_dir)
    (source / "train.py").write_text(PROGRAM)
    (source / "requirements.txt").write_text(f"{package}\n")
    name = f"secure-install-{package}"
    config = config.updated(
        bucket=name, pipeline_name=name, distribution="none",
        ca_repository_arn="arn:aws:codeartifact:us-east-1:123456789012:repository/domain/repo",
        environment={
            "AWS_ENDPOINT_URL_CODEARTIFACT": repository.url,
            "AWS_CA_BUNDLE": str(repository.folder / "ca.pem"),
            "PIP_TRUSTED_HOST": "127.0.0.1",
            "PIP_CONFIG_FILE": "/dev/null",
        },
    )  # fmt: skip
    s3 = local_sagemaker.client("s3")
    s3.create_bucket(Bucket=name)
    for uri in config.channel_uris().values():
        s3.put_object(Bucket=name, Key=uri.removeprefix(f"s3://{name}/"), Body=b"rows")
    path = repository.folder / "training.yaml"
    path.write_text(json.dumps(config.to_dict()))  # JSON is YAML
    for variable, value in local_sagemaker.env.items():
        monkeypatch.setenv(variable, value)

    ended = main(["run", str(path), "--json"])
    told = "".join(capfd.readouterr())
    assert ended == code, told
    assert f"/pypi/repo/simple/{package}/" in repository.asked, told
    assert repository.rights_needed == rights_given()
    assert f"{'0.75' if code == 0 else 'exit code'}" in told
    definition = local_sagemaker.client("sagemaker").describe_pipeline(PipelineName=name)["PipelineDefinition"]
    assert TOKEN not in told + definition
    kept = [path for path in local_sagemaker.data_dir.rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
