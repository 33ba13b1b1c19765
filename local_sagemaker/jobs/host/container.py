"""The container contract: a job's folders, configuration files and environment."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from local_sagemaker.jobs.host.handle import HostLayout
from local_sagemaker.jobs.transfer.s3 import S3Problem, walk_files

ML = "/opt/ml"
_ML_PATH = re.compile(r"/opt/ml(?![\w-])")
_INHERITED = re.compile(
    r"PIP_\w+|\w+_proxy|\w+_PROXY|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|LANG|LC_\w+|TZ|LD_LIBRARY_PATH|"
    r"CUDA_\w+|NVIDIA_\w+|OMP_NUM_THREADS|MKL_NUM_THREADS"
)
_REWRITE_LIMIT = 8 * 2**20
_ON_LOOPBACK = dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME"), "lo")
"""The interface on which torch's backends listen, instead of that of the host's name."""


@dataclass(frozen=True)
class Cluster:
    """The hosts of a job: names, loopback addresses, and the port for torchrun's rendezvous."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    instance_type: str
    master_port: int

    @classmethod
    def of(cls, count: int, instance_type: str, slot: int) -> Cluster:
        """Name `count` hosts; each slot of the supervisor has a separate loopback network."""
        names = tuple(f"algo-{number}" for number in range(1, count + 1))
        addresses = tuple(f"127.{16 + slot % 200}.{number // 250}.{number % 250 + 1}" for number in range(1, count + 1))
        return cls(names, addresses, instance_type, free_port() if count > 1 else 7777)

    def resource_config(self, host: str) -> dict[str, object]:
        """The content of resourceconfig.json."""
        return {
            "current_host": host,
            "current_instance_type": self.instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": list(self.names),
            "instance_groups": [
                {
                    "instance_group_name": "homogeneousCluster",
                    "instance_type": self.instance_type,
                    "hosts": list(self.names),
                }
            ],
            "network_interface_name": "lo",
        }

    def hosts_file(self) -> str:
        """The content of /etc/hosts: this machine's, and the job's hosts."""
        try:
            own = Path("/etc/hosts").read_text(errors="replace")
        except OSError:
            own = "127.0.0.1 localhost\n"
        lines = [f"{address} {name}" for name, address in zip(self.names, self.addresses, strict=True)]
        return own.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Paths:
    """Maps container paths to paths on this machine, and back: with a mount, the job sees /opt/ml."""

    layout: HostLayout
    mount: bool

    def on_host(self, container_path: str) -> Path:
        """Translate a path below /opt/ml; S3Problem for any other path, since jobs may not use it."""
        path = PurePosixPath(container_path)
        if not path.is_relative_to(ML) or ".." in path.parts or path == PurePosixPath(ML):
            raise S3Problem(f"ClientError: LocalPath {container_path!r} is not below {ML}")
        return self.layout.ml.joinpath(*path.relative_to(ML).parts)

    @property
    def seen_ml(self) -> str:
        """The folder as the job sees it."""
        return ML if self.mount else str(self.layout.ml)

    def seen(self, text: str) -> str:
        """Text as the job must see it: without a mount, /opt/ml is replaced."""
        return text if self.mount else _ML_PATH.sub(lambda _: str(self.layout.ml), text)

    def seen_json(self, value: object) -> str:
        """JSON as the job must see it."""
        return self.seen(json.dumps(value))

    def rewrite_folder(self, folder: Path) -> None:
        """Without a mount, replace /opt/ml in the text files below `folder`."""
        if self.mount:
            return
        for path in walk_files(folder):
            if path.stat().st_size > _REWRITE_LIMIT:
                continue
            data = path.read_bytes()
            if b"/opt/ml" not in data or b"\x00" in data:
                continue
            path.write_bytes(
                _ML_PATH.sub(lambda _: str(self.layout.ml), data.decode("utf-8", "surrogateescape")).encode(
                    "utf-8", "surrogateescape"
                )
            )


def job_environment(
    own: Mapping[str, str], client_env: Mapping[str, str], paths: Paths, programs: Path, scripts: str
) -> dict[str, str]:
    """Build the environment of the container's program, with only the variables that a container would have.

    `own` is the request's Environment with the job's names; `client_env` makes boto3 use the local server.
    """
    home, temporary = paths.layout.root / "home", paths.layout.ml / "tmp"
    home.mkdir(exist_ok=True)
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    environment.setdefault("LANG", "C.UTF-8")
    environment.update(
        PATH=os.pathsep.join([str(programs), scripts, "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]),
        HOME=str(home),
        TMPDIR=f"{paths.seen_ml}/tmp",  # noqa: S108 (the job's own folder)
        PYTHONUNBUFFERED="TRUE",
        PYTHONDONTWRITEBYTECODE="TRUE",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_ROOT_USER_ACTION="ignore",
        **_ON_LOOPBACK,
    )
    _keep_pip_configuration(environment)
    environment.update(client_env)
    environment.update({name: paths.seen(str(value)) for name, value in own.items()})
    return environment


def _keep_pip_configuration(environment: dict[str, str]) -> None:
    """Keep using the user's pip index and download cache, although the job has its own home folder."""
    for path in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if path.is_file():
            environment.setdefault("PIP_CONFIG_FILE", str(path))
    environment.setdefault("PIP_CACHE_DIR", str(Path.home() / ".cache/pip"))


def write_json(path: Path, text: str) -> None:
    """Write a configuration file of the contract."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
