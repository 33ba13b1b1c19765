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
    ".ruff_cache", "*.sw?", "*~", "#*#", ".#*", ".idea", ".vscode", ".venv", "node_modules",
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


def contents_of(folder: str | os.PathLike[str]) -> dict[str, bytes]:
    """Return the bytes of a folder's files by relative path."""
    return {name: path.read_bytes() for name, path in files_of(folder).items()}


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return one sha256 for files given by relative path: equal for equal trees at any place, time and user."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()
