"""A Docker daemon of our own: its own folder and socket, no default bridge, and nothing of it left afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compose.shell import TrialError, call, say, wait_until

START_SECONDS = 60
STOP_SECONDS = 60
NEEDED = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
}


def missing() -> list[str]:
    """What keeps this machine from running one: programs with their Debian packages, rights."""
    lacks = [
        f"{program} (apt-get install {package})" for program, package in NEEDED.items() if not shutil.which(program)
    ]
    return lacks if os.geteuid() == 0 else [*lacks, "root"]


@contextmanager
def private_daemon(work: Path) -> Iterator[dict[str, str]]:
    """The environment that makes docker and docker-compose talk to the daemon, while it runs."""
    socket = work / "docker.sock"
    env = {"DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}
    before = {table: rules(table) for table in ("filter", "nat")}
    forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    command = ["dockerd", "--data-root", work / "data", "--exec-root", work / "exec", "--bridge", "none"]
    with (work / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), "--pidfile", str(work / "dockerd.pid"), "--host", env["DOCKER_HOST"]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _answers(process, env, work), "the Docker daemon answers", START_SECONDS)
        yield env
    finally:
        _end(process)
        for table, old in before.items():
            restore_rules(table, old)
        Path("/proc/sys/net/ipv4/ip_forward").write_text(forwarding)
        unmount_below(work)
        say("the Docker daemon has ended, its firewall rules are gone")


def _answers(process: subprocess.Popen[bytes], env: dict[str, str], work: Path) -> bool:
    if process.poll() is not None:
        raise TrialError(f"dockerd ended with {process.returncode}:\n{(work / 'dockerd.log').read_text()[-2000:]}")
    return call(["docker", "info"], env=env, check=False)[0] == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM ends the daemon with its containerd; SIGKILL to the session if that takes too long."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def rules(table: str) -> list[str]:
    """The table as `iptables -S` prints it."""
    return call(["iptables", "-t", table, "-S"], check=False)[1].splitlines()


def restore_rules(table: str, old: list[str]) -> None:
    """Take away what the daemon added: rules that name its chains, then the chains, and the policy of FORWARD."""
    added = [line for line in rules(table) if line not in old and "DOCKER" in line]
    for line in (line for line in added if line.startswith("-A")):
        call(["iptables", "-t", table, "-D", *line.split()[1:]], check=False)
    for line in (line for line in added if line.startswith("-N")):
        call(["iptables", "-t", table, "-F", line.split()[1]], check=False)
    for line in (line for line in added if line.startswith("-N")):
        call(["iptables", "-t", table, "-X", line.split()[1]], check=False)
    for line in (line for line in old if line.startswith("-P")):
        call(["iptables", "-t", table, "-P", *line.split()[1:]], check=False)


def unmount_below(folder: Path) -> None:
    """A killed daemon leaves mounts behind, and a folder with mounts cannot be removed."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        call(["umount", "--lazy", mount], check=False)


def left_over(env: dict[str, str]) -> dict[str, list[str]]:
    """Containers, networks and volumes that exist; Docker's own three networks do not count."""
    kinds = {
        "containers": ["ps", "--all", "--format", "{{.Names}}"],
        "networks": ["network", "ls", "--format", "{{.Name}}"],
        "volumes": ["volume", "ls", "--quiet"],
    }
    found = {kind: call(["docker", *command], env=env)[1].split() for kind, command in kinds.items()}
    found["networks"] = [name for name in found["networks"] if name not in {"bridge", "host", "none"}]
    return found


def wait_for_exit(pid: int, seconds: float = 10) -> bool:
    """Whether the process is gone within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.1)
    return False
