"""The files of a folder that are uploaded, and a digest that depends only on their names and contents.

Caches, editors' files, virtual environments and files that usually contain secrets are excluded. A `.sagemakerignore`
in the folder (in the syntax of .gitignore) excludes more files, or includes excluded ones with `!name`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from airflow_sagemaker.exceptions import CompileError, ConfigurationError, Violation

IGNORE_FILE = ".sagemakerignore"
FIELDS_FILE = "fields.json"
"""The table's columns, shipped with the training program; the compile process writes it."""

LEFTOVERS = (
    "__pycache__", "*.pyc", ".git", ".hg", ".svn", ".DS_Store", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache",
    ".ruff_cache", "*.sw?", "*~", "\\#*#", ".#*", ".idea", ".vscode", "node_modules", ".cache", ".tox", ".nox",
    ".direnv", IGNORE_FILE,
)  # fmt: skip
"""These are excluded without a log line."""

SECRETS = (
    ".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.ppk", "id_rsa*", "id_dsa*",
    "id_ecdsa*", "id_ed25519*", ".aws", ".ssh", ".gnupg", ".kube", ".docker", ".azure", ".gcloud", ".terraform",
    "*.tfstate*", ".netrc", "_netrc", ".pgpass", ".pypirc", ".npmrc", ".git-credentials", ".htpasswd", ".boto",
    ".s3cfg", ".databrickscfg", ".vault-token", "credentials.json", "service-account*.json",
)  # fmt: skip
"""Where tools store keys and passwords: users found theirs in a bucket (aws/sagemaker-python-sdk #5091)."""

_ENVIRONMENT_MARK = "pyvenv.cfg"
"""In the root of all virtual environments (PEP 405)."""


@dataclass
class SourceFiles:
    """The uploaded `files` of a folder by relative path, and those `left_out`, except LEFTOVERS."""

    files: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def source_files(folder: str | os.PathLike[str]) -> SourceFiles:
    """Return the files of a folder.

    Links within the folder are followed, unless they point to one of their own parents. Raises ConfigurationError for a
    link that points outside, because its target was probably not meant to be uploaded, and CompileError for files that
    cannot be read.
    """
    with _report_unreadable(folder):
        return _Walk(Path(folder)).result()


def files_of(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the uploaded files of a folder by relative path, sorted."""
    return source_files(folder).files


def contents_of(folder: str | os.PathLike[str]) -> dict[str, bytes]:
    """Return the bytes of a folder's files by relative path."""
    with _report_unreadable(folder):
        return {name: path.read_bytes() for name, path in files_of(folder).items()}


def sha256s_of(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the sha256 of each file."""
    with _report_unreadable("a source file"):
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return one sha256 for files by relative path, which is equal for equal trees anywhere, at any time."""
    return digest_of_digests({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})


def digest_of_digests(sha256s: Mapping[str, str]) -> str:
    """Return the same from the files' sha256."""
    return hashlib.sha256(json.dumps(sorted(sha256s.items())).encode()).hexdigest()


@contextmanager
def _report_unreadable(folder: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CompileError(f"{error.filename or folder} cannot be read: {error.strerror}") from None


class _Walk:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._real_root = root.resolve()
        self._leftovers = GitIgnoreSpec.from_lines(LEFTOVERS)
        self._ignored = GitIgnoreSpec.from_lines([*LEFTOVERS, *SECRETS, *_read_lines(root / IGNORE_FILE)])
        self._found = SourceFiles()

    def result(self) -> SourceFiles:
        self._found.files = dict(sorted(self._walk(self._root, "", (self._real_root,))))
        self._found.left_out.sort()
        return self._found

    def _walk(self, folder: Path, prefix: str, parents: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
        for entry in folder.iterdir():
            name, is_folder = f"{prefix}{entry.name}", entry.is_dir()
            if self._is_left_out(entry, f"{name}/" if is_folder else name):
                continue
            if entry.is_symlink():
                self._check_link(entry, name)
            if is_folder:
                real = entry.resolve()
                if real not in parents:
                    yield from self._walk(entry, f"{name}/", (*parents, real))
            elif entry.is_file():
                yield name, entry

    def _is_left_out(self, entry: Path, name: str) -> bool:
        verdict = self._ignored.check_file(name).include
        if verdict is None:
            verdict = name.endswith("/") and (entry / _ENVIRONMENT_MARK).is_file()
        if verdict and not self._leftovers.match_file(name):
            self._found.left_out.append(name)
        return bool(verdict)

    def _check_link(self, link: Path, name: str) -> None:
        target = link.resolve()
        if target.exists() and not target.is_relative_to(self._real_root):
            rule = f"{name} is a link to {target}, outside the folder"
            hint = f"copy its target into the folder, or add the link to {IGNORE_FILE}"
            raise ConfigurationError([Violation("source_dir", str(self._root), rule, hint)])


def _read_lines(ignore_file: Path) -> list[str]:
    return ignore_file.read_text(encoding="utf-8").splitlines() if ignore_file.is_file() else []
