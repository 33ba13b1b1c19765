"""Installs requirements from a shared cache when a job runs `python -m pip install -r FILE`.

It is copied into the job's virtual environment as `_sagemaker_job_pip.py`. This environment has, in this order, the
packages that the job installs, the linked cached environments, and the packages of `job_python`, which never changes.

A cached environment is `environments/<digest>`: built once under a lock, and renamed to this path when it is complete.
The digest covers the requirement files' text, the index, and `job_python` with its packages. pip itself handles other
commands, and requirements with local paths; it installs into the job's environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
"""The folder of packages in the job's environment."""
PLAIN = "LOCAL_SAGEMAKER_PLAIN_PIP"
"""Set while the cache itself runs pip."""
COPIED = (
    "_sagemaker_job_site.py",
    "_sagemaker_job_site.pth",
    "_sagemaker_job_pip.py",
    "sites.txt",
    "pip_wheel.txt",
    "environments.txt",
)
_FLAGS = {"--no-cache-dir", "-q", "--quiet", "--disable-pip-version-check", "--no-input", "--prefer-binary"}
_INDEXES = {"-i", "--index-url", "--extra-index-url", "--trusted-host"}
_LOCAL = re.compile(r"^\s*(?:-e\b|--editable\b|\.|/|file:|-f\b|--find-links\b)|@\s*file:|\.whl\s*$")


def answer(command: list[str], sites: list[str]) -> None:
    """Install from the cache and exit, or return so that pip runs the command."""
    requirements = parse_install(command)
    if requirements is None or os.environ.get(PLAIN):
        return
    root = Path((HERE / "environments.txt").read_text(encoding="utf-8").strip())
    code = install(Path(requirements), command, sites, root)
    sys.stdout.flush()
    os._exit(code)


def parse_install(command: list[str]) -> str | None:
    """The file of an `install -r FILE` without other arguments than index options; None for other commands."""
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


def requirement_texts(path: Path, seen: set[Path]) -> Iterator[str]:
    """Yield the text of a requirements file and the files that it includes; ValueError if it cannot be cached."""
    real = path.resolve()
    if real in seen:
        return
    seen.add(real)
    text = path.read_text(encoding="utf-8")
    yield text
    for line in text.splitlines():
        if _LOCAL.search(line):
            raise ValueError(f"{line.strip()!r} names a local path")
        included = re.match(r"\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", line)
        if included:
            yield from requirement_texts(path.parent / included[1], seen)


def digest_of(path: Path, command: list[str], sites: list[str]) -> str:
    """The digest of the resulting environment; ValueError if it cannot be cached."""
    parts: list[object] = list(requirement_texts(path, set()))
    index = [_stable_url(word) for word in command if "://" in word]
    parts += [index, os.environ.get("PIP_INDEX_URL"), os.environ.get("PIP_CONSTRAINT"), sys.version, sys.platform]
    for folder in sites:
        parts.append([folder, Path(folder).stat().st_mtime_ns if Path(folder).is_dir() else None])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _stable_url(url: str) -> str:
    """Remove credentials and the local server's port, which do not affect the result."""
    return re.sub(r"://127\.0\.0\.1:\d+", "://127.0.0.1", re.sub(r"://[^/@]*@", "://", url))


def install(path: Path, command: list[str], sites: list[str], root: Path) -> int:
    """Link this requirements file's environment to the job; build it first if necessary."""
    try:
        digest = digest_of(path, command, sites)
    except (OSError, ValueError, UnicodeDecodeError):
        return _run_pip(sys.executable, command)
    root.mkdir(parents=True, exist_ok=True)
    home = root / digest
    with (root / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if home.is_dir():
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


def _build(home: Path, command: list[str]) -> int:
    """Install into a new environment and rename it to its place; return pip's exit status."""
    for leftover in home.parent.glob(f"{home.name}.building-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{home.name}.building-", dir=home.parent))
    _copy_environment(folder)
    code = _run_pip(str(folder / "bin" / "python3"), command)
    if code:
        shutil.rmtree(folder, ignore_errors=True)
        return code
    _make_scripts_portable(folder / "bin")
    folder.rename(home)
    return 0


def _packages_of(home: Path) -> Path:
    return home / HERE.relative_to(Path(sys.prefix).resolve())


def _copy_environment(folder: Path) -> None:
    """Create an environment like the job's in `folder`, without packages that the job linked or installed."""
    _packages_of(folder).mkdir(parents=True)
    (folder / "bin").mkdir()
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", folder)
    for name in COPIED:
        shutil.copy(HERE / name, _packages_of(folder))
    (folder / "bin" / "python3").symlink_to(Path(sys.executable).resolve())


def _make_scripts_portable(folder: Path) -> None:
    """Make console scripts use the python3 on PATH, which belongs to the job that links the environment."""
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        lines = path.read_bytes().split(b"\n")
        if lines[0] == b"#!/bin/sh" and lines[1:2] and lines[1].startswith(b"'''exec'"):
            lines[:3] = [b"#!/usr/bin/env python3"]  # pip's form if the path is too long for a #! line
        elif lines[0].startswith(b"#!") and b"python" in lines[0]:
            lines[0] = b"#!/usr/bin/env python3"
        else:
            continue
        path.write_bytes(b"\n".join(lines))


def _link(home: Path) -> None:
    """Make the environment's packages and scripts available to this job's later Python processes."""
    with (HERE / "linked.txt").open("a", encoding="utf-8") as file:
        file.write(f"{_packages_of(home)}\n")
    for path in (home / "bin").iterdir():
        with contextlib.suppress(FileExistsError):
            (Path(sys.prefix) / "bin" / path.name).symlink_to(path)
