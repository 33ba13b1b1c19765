"""The files of a folder, and a digest that depends on nothing but their names and bytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

IGNORED = (
    "__pycache__", "*.pyc", ".git", ".hg", ".svn", ".DS_Store", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache",
    ".ruff_cache", "*.swp", "*~", ".venv", "node_modules",
)  # fmt: skip


def files_of(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the files below a folder by their path relative to it, without caches and editors' leftovers.

    Links are followed, so that what they point to is shipped; a link back into its own parents is passed over.
    """
    root = Path(folder)
    return dict(sorted(_walk(root, "", (root.resolve(),))))


def _walk(folder: Path, prefix: str, parents: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for entry in folder.iterdir():
        if any(fnmatch(entry.name, pattern) for pattern in IGNORED):
            continue
        if entry.is_dir():
            real = entry.resolve()
            if real not in parents:
                yield from _walk(entry, f"{prefix}{entry.name}/", (*parents, real))
        elif entry.is_file():
            yield f"{prefix}{entry.name}", entry


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(digests: Mapping[str, str]) -> str:
    """Return one sha256 for a tree, given each file's digest by relative path."""
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def tree_digest(folder: str | os.PathLike[str]) -> str:
    """Return the digest of a folder's files: equal for equal trees at any path, time and user."""
    return digest_of({name: file_digest(path) for name, path in files_of(folder).items()})
