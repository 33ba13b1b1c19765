"""Cache of compiled definitions on disk, whose keys need no SDK: static configuration, sources, package versions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from airflow_sagemaker.cache_folder import cache_folder
from airflow_sagemaker.definition.child_process import module_place
from airflow_sagemaker.definition.source_files import contents_of, digest_of, digest_of_digests
from airflow_sagemaker.exceptions import CompileError, SdkNotAvailable
from airflow_sagemaker.types import JsonObject

FORMAT = 1
KEEP_SECONDS = 30 * 86400
WORK_SECONDS = 86400
_PACKAGES = ("sagemaker", "sagemaker-core", "sagemaker-train", "sagemaker-mlops")
_QUESTION = (
    "import importlib.metadata as m, json;"
    f"names = {_PACKAGES};"
    "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions() if d.metadata['Name'] in names}))"
)


def cache_key(request: JsonObject, sources: Mapping[str, str], modules: Iterable[str], python: str) -> str:
    """Return a digest of everything that determines a definition. Raises SdkNotAvailable if there is no SDK.

    `sources` are the files of source_dir: sha256 by relative path.
    """
    stable = {**request, "config": {name: value for name, value in request["config"].items() if name != "source_dir"}}
    parts = {
        "format": FORMAT,
        "request": stable,
        "source": digest_of_digests(sources),
        "package": _own_digest(),
        "modules": module_digests(modules),
        "sdk": dict(sdk_versions(python)),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def _own_digest() -> str:
    """Return the digest of this package, because other versions may compile other definitions."""
    return digest_of(contents_of(Path(__file__).parents[1]))


def module_digests(modules: Iterable[str]) -> dict[str, str]:
    """Return a digest of each module's top-level package by the module's name."""
    return {name: _module_digest(name) for name in sorted(modules)}


def _module_digest(name: str) -> str:
    place = module_place(name.partition(".")[0])
    return digest_of(contents_of(place) if place.is_dir() else {place.name: place.read_bytes()})


@cache
def sdk_versions(python: str) -> tuple[tuple[str, str], ...]:
    """Return the versions of the SDK's packages in an interpreter, without importing them."""
    if python == sys.executable:
        found = {name: _version_here(name) for name in _PACKAGES}
    else:
        found = _versions_beside(Path(python)) or _versions_asked(python)
    if not found.get("sagemaker"):
        hint = "install sagemaker>=3.27,<4 there, or set sdk_python to an interpreter that has it"
        raise SdkNotAvailable(f"{python} has no SageMaker SDK; {hint}")
    if not str(found["sagemaker"]).startswith("3."):
        raise SdkNotAvailable(f"{python} has sagemaker {found['sagemaker']}; version 3 is required (>=3.27,<4)")
    return tuple(sorted((name, version) for name, version in found.items() if version))


def _version_here(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _versions_beside(python: Path) -> dict[str, str]:
    """Read the versions from a virtual environment's metadata folders, without starting a process."""
    found = {}
    for folder in python.parent.parent.glob("lib/python3.*/site-packages/sagemaker*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        name = name.replace("_", "-")
        if name in _PACKAGES:
            found[name] = version
    return found


def _versions_asked(python: str) -> dict[str, str]:
    try:
        answer = subprocess.run(
            [python, "-c", _QUESTION], stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60
        )
        versions: dict[str, str] = json.loads(answer.stdout)
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())[-200:]
        why = f"it ended with {error.returncode}" + (f": {said}" if said else "")
        raise SdkNotAvailable(f"{python} cannot be run as the SDK's interpreter: {why}") from None
    except subprocess.TimeoutExpired as error:
        why = f"no response within {error.timeout:.0f} s"
        raise SdkNotAvailable(f"{python} cannot be run as the SDK's interpreter: {why}") from None
    except OSError as error:
        raise SdkNotAvailable(f"{python} cannot be run as the SDK's interpreter: {error.strerror}") from None
    except ValueError:
        raise SdkNotAvailable(
            f"{python} is not a Python interpreter; set sdk_python to one that has the SageMaker SDK"
        ) from None
    return versions


class DiskCache:
    """A folder with a small file per compiled definition, and a file per content of an upload."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()
        self._entries = self.folder / "compiled"
        self._blobs = self.folder / "files"
        self._work = self.folder / "work"
        for path in (self._entries, self._blobs, self._work):
            try:
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                hint = "set AIRFLOW_SAGEMAKER_CACHE_DIR to a writable folder"
                raise CompileError(f"the compile cache {path} cannot be created: {error.strerror}; {hint}") from None

    def lock(self, key: str, timeout: float) -> FileLock:
        """Return the lock that a process holds while it compiles, and others wait for."""
        return FileLock(self._entries / f"{key}.lock", timeout=timeout)

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """Yield an empty folder on the cache's file system, so that moving its files into the cache is atomic.

        The folder of a process that was killed is removed after a day.
        """
        limit = time.time() - WORK_SECONDS
        for left in self._work.iterdir():
            with suppress(OSError):
                if left.stat().st_mtime < limit:
                    shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(dir=self._work) as folder:
            yield Path(folder).resolve()

    def get(self, key: str) -> JsonObject | None:
        """Return an entry if it is readable and all its files are intact, otherwise None."""
        path = self._entries / f"{key}.json"
        try:
            entry: JsonObject = json.loads(path.read_text(encoding="utf-8"))
            for upload in entry["uploads"]:
                if hashlib.sha256(self.blob(upload["sha256"]).read_bytes()).hexdigest() != upload["sha256"]:
                    return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        with suppress(OSError):
            os.utime(path)
        return entry

    def put(self, key: str, entry: JsonObject) -> None:
        """Store an entry, and move the files of its uploads into the cache."""
        for upload in entry["uploads"]:
            source, blob = Path(upload.pop("path")), self.blob(upload["sha256"])
            if source.is_file():
                shutil.move(source, blob)
        partial = self._entries / f"{key}.{os.getpid()}.part"
        partial.write_text(json.dumps(entry), encoding="utf-8")
        partial.replace(self._entries / f"{key}.json")
        self._forget_old()

    def blob(self, sha256: str) -> Path:
        """Return the path of the file with this content, whether it exists or not."""
        return self._blobs / sha256

    def _forget_old(self) -> None:
        """Remove entries not used for a month, their locks, and files that no entry refers to.

        A process that waits for a removed lock compiles at the same time as its holder, which does no harm.
        """
        limit = time.time() - KEEP_SECONDS
        old = [path for path in self._entries.glob("*.json") if _unused_since(path, limit)]
        if not old:
            return
        for path in old:
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)
        named: set[str] = set()
        for path in self._entries.glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):  # removed by another process, or damaged
                entry = json.loads(path.read_text(encoding="utf-8"))
                named.update(upload["sha256"] for upload in entry["uploads"])
        for blob in self._blobs.iterdir():
            if blob.name not in named and _unused_since(blob, limit):
                blob.unlink(missing_ok=True)


def _unused_since(path: Path, limit: float) -> bool:
    try:
        return path.stat().st_mtime < limit
    except OSError:  # another process was faster
        return False
