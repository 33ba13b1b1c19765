"""Stand-ins for the four official images, made without a registry: debootstrap, Debian's packages, pip's wheels.

They prove how the stack is wired (names, users, variables, volumes, order, health), not the official images.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
from pathlib import Path

from tests.compose.shell import ROOT, call, say

STANDINS = ROOT / "tests" / "compose" / "standins"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
TAGS = {
    "standin/airflow": "apache/airflow:slim-3.3.2-python3.11",
    "standin/postgres": "postgres:17",
    "standin/redis": "redis:7.2",
}


def build(work: Path, env: dict[str, str]) -> None:
    """Build and tag them. What `work` holds from an earlier run is used again."""
    debian(work, env)
    for name in ("postgres", "redis"):
        call(["docker", "build", "--quiet", "--tag", f"standin/{name}", STANDINS / name], env=env)
    airflow(work, env)
    for source, tag in TAGS.items():
        call(["docker", "tag", source, tag], env=env)
    say(f"stand-ins: {', '.join(TAGS.values())}")


def debian(work: Path, env: dict[str, str]) -> None:
    """The base of all, and the programs in it. apt needs the network, so it uses the host's."""
    if call(["docker", "image", "inspect", "standin/debian"], env=env, check=False)[0] == 0:
        return
    archive = work / "debian.tar"
    if not archive.exists():
        say("debootstrap (about a minute)")
        tree = work / "debian"
        shutil.rmtree(tree, ignore_errors=True)
        call(["debootstrap", "--variant=minbase", "bookworm", tree, MIRROR])
        with tarfile.open(work / "debian.tar.part", "w") as out:
            out.add(tree, arcname=".")
        shutil.rmtree(tree)
        (work / "debian.tar.part").rename(archive)
    call(["docker", "import", archive, "standin/debootstrap"], env=env)
    say("installing PostgreSQL, Redis and Python into it")
    call(["docker", "build", "--quiet", "--network", "host", "--tag", "standin/debian", STANDINS], env=env)


def airflow(work: Path, env: dict[str, str]) -> None:
    """The build gets every package as a wheel: pip runs here, with this machine's settings, and not in the build."""
    pinned = [ROOT / "requirements.txt", ROOT / "deploy" / "docker" / "extra.txt"]
    sources = [*pinned, *sorted((STANDINS / "airflow").iterdir())]
    content = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]
    kept = f"standin/airflow:{content}"
    if call(["docker", "image", "inspect", kept], env=env, check=False)[0] == 0:
        call(["docker", "tag", kept, "standin/airflow"], env=env)
        return
    wheels = work / "wheels"
    mark = wheels / ".complete"
    if not mark.exists() or mark.read_text() != content:
        say("pip wheel of all pinned packages (some minutes)")
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir()
        files = [part for file in pinned for part in ("-r", file)]
        call([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *files, "--wheel-dir", wheels])
        mark.write_text(content)
    context = work / "context"
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(STANDINS / "airflow", context)
    shutil.copy(ROOT / "requirements.txt", context)
    shutil.copytree(wheels, context / "wheels", copy_function=os.link)
    say("building the stand-in of apache/airflow")
    call(["docker", "build", "--quiet", "--tag", "standin/airflow", "--tag", kept, context], env=env)
    shutil.rmtree(context)
