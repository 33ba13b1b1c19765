"""Imported by the job's Python at start-up (a .pth line): its packages, and requirements from a shared cache.

Copied into the job's own environment as `_sagemaker_job_site.py`; standard library only. The job's environment is a
virtual environment of its own whose packages are, in this order: what the job itself installs, the cached environments
that it was linked to, and the packages of `job_python`, which nothing here ever changes.

`python -m pip install -r FILE` is answered from `environments/<digest>`: built once under a lock, renamed into place
when whole. The digest covers the requirement files' text, the index, and the job_python with what is installed in it.
Any other pip command, and requirements that name local paths, go to pip itself and into the job's own environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator

HERE = os.path.dirname(os.path.abspath(__file__))
PLAIN = "LOCAL_SAGEMAKER_PLAIN_PIP"
"""Set while the cache itself runs pip."""
_FLAGS = {"--no-cache-dir", "-q", "--quiet", "--disable-pip-version-check", "--no-input", "--prefer-binary"}
_INDEXES = {"-i", "--index-url", "--extra-index-url", "--trusted-host"}
_LOCAL = re.compile(r"^\s*(?:-e\b|--editable\b|\.|/|file:|-f\b|--find-links\b)|@\s*file:|\.whl\s*$")


def settings() -> dict[str, object]:
    """Read what the server wrote beside this file: sites, environments, pip_wheel."""
    with open(os.path.join(HERE, "job_site.json")) as file:
        loaded: dict[str, object] = json.load(file)
    return loaded


def start() -> None:
    """Add the packages; answer a cached installation without running pip."""
    found = settings()
    for folder in [*_linked(), *_strings(found["sites"])]:
        site.addsitedir(folder)
    command = _pip_arguments(list(sys.orig_argv))
    if command is None:
        return
    wheel = found.get("pip_wheel")
    if wheel:
        sys.path.append(str(wheel))
    requirements = parse_install(command)
    if requirements is None or os.environ.get(PLAIN):
        return
    code = install(requirements, command, found)
    sys.stdout.flush()
    os._exit(code)


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _linked() -> list[str]:
    try:
        with open(os.path.join(HERE, "linked.txt")) as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _pip_arguments(argv: list[str]) -> list[str] | None:
    """Return what follows `-m pip`, or None when this process is not pip."""
    for position, word in enumerate(argv[1:], 1):
        if word == "-m":
            return argv[position + 2 :] if argv[position + 1 : position + 2] == ["pip"] else None
        if not word.startswith("-"):
            return None
    return None


def parse_install(command: list[str]) -> str | None:
    """Return the file of an `install -r FILE` with nothing beside it but index options; else None."""
    if command[:1] != ["install"]:
        return None
    files: list[str] = []
    words = iter(command[1:])
    for word in words:
        option, equals, value = word.partition("=")
        if option in {"-r", "--requirement"}:
            files.append(value if equals else next(words, ""))
        elif option in _INDEXES:
            if not equals:
                next(words, "")
        elif word not in _FLAGS:
            return None
    return files[0] if len(files) == 1 and files[0] else None


def requirement_texts(path: str, seen: set[str]) -> Iterator[str]:
    """Yield the text of a requirements file and of those it includes; ValueError for what cannot be shared."""
    real = os.path.realpath(path)
    if real in seen:
        return
    seen.add(real)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    yield text
    for line in text.splitlines():
        if _LOCAL.search(line):
            raise ValueError(f"{line.strip()!r} names a local path")
        included = re.match(r"\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", line)
        if included:
            yield from requirement_texts(os.path.join(os.path.dirname(path), included[1]), seen)


def digest_of(path: str, command: list[str], found: dict[str, object]) -> str:
    """Name the environment that this installation leads to; ValueError for one that cannot be shared."""
    parts: list[object] = list(requirement_texts(path, set()))
    index = [re.sub(r"://[^/@]*@", "://", word) for word in command if "://" in word]
    parts += [index, os.environ.get("PIP_INDEX_URL"), os.environ.get("PIP_CONSTRAINT"), sys.version, sys.platform]
    for folder in _strings(found["sites"]):
        parts.append([folder, os.stat(folder).st_mtime_ns if os.path.isdir(folder) else None])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def install(path: str, command: list[str], found: dict[str, object]) -> int:
    """Link the environment of this requirements file to the job, building it first where it is missing."""
    try:
        digest = digest_of(path, command, found)
    except (OSError, ValueError, UnicodeDecodeError):
        return _run_pip(sys.executable, command)
    root = str(found["environments"])
    os.makedirs(root, exist_ok=True)
    home = os.path.join(root, digest)
    with open(os.path.join(root, digest + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(home):
            print(f"Requirements of {path} are satisfied by the cached environment {digest[:12]}")
        else:
            code = _build(home, command)
            if code:
                return code
    _link(home)
    return 0


def _run_pip(python: str, command: list[str]) -> int:
    sys.stdout.flush()
    return subprocess.call([python, "-m", "pip", *command], env={**os.environ, PLAIN: "1"})


def _build(home: str, command: list[str]) -> int:
    """Install into a new environment and rename it into place; returns pip's exit status."""
    root = os.path.dirname(home)
    _remove_leftovers(root, os.path.basename(home))
    folder = tempfile.mkdtemp(prefix=os.path.basename(home) + ".building-", dir=root)
    _copy_environment(folder)
    code = _run_pip(os.path.join(folder, "bin", "python3"), command)
    if code:
        shutil.rmtree(folder, ignore_errors=True)
        return code
    _make_scripts_portable(os.path.join(folder, "bin"))
    os.rename(folder, home)
    return 0


def _remove_leftovers(root: str, name: str) -> None:
    for entry in os.listdir(root):
        if entry.startswith(name + ".building-"):
            shutil.rmtree(os.path.join(root, entry), ignore_errors=True)


def _copy_environment(folder: str) -> None:
    """Make `folder` an environment like the job's own, without what the job linked or installed."""
    packages = os.path.join(folder, os.path.relpath(HERE, sys.prefix))
    os.makedirs(packages)
    os.makedirs(os.path.join(folder, "bin"))
    shutil.copy(os.path.join(sys.prefix, "pyvenv.cfg"), folder)
    for name in ("_sagemaker_job_site.py", "_sagemaker_job_site.pth", "job_site.json"):
        shutil.copy(os.path.join(HERE, name), packages)
    os.symlink(os.path.realpath(sys.executable), os.path.join(folder, "bin", "python3"))


def _make_scripts_portable(folder: str) -> None:
    """Let console scripts run by the python3 on PATH: that of the job which linked the environment."""
    for entry in os.scandir(folder):
        if entry.is_symlink() or not entry.is_file():
            continue
        with open(entry.path, "rb") as file:
            first, rest = file.readline(), file.read()
        if first.startswith(b"#!") and b"python" in first:
            with open(entry.path, "wb") as file:
                file.write(b"#!/usr/bin/env python3\n" + rest)


def _link(home: str) -> None:
    """Show the environment's packages and scripts to every later Python of this job."""
    packages = os.path.join(home, os.path.relpath(HERE, sys.prefix))
    if packages not in _linked():
        with open(os.path.join(HERE, "linked.txt"), "a") as file:
            file.write(packages + "\n")
    for entry in os.scandir(os.path.join(home, "bin")):
        with contextlib.suppress(FileExistsError):
            os.symlink(entry.path, os.path.join(sys.prefix, "bin", entry.name))


if __name__ == "_sagemaker_job_site":
    start()
