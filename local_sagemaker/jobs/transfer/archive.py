"""Archives of what a job left: model.tar.gz and output.tar.gz."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

_COMPRESSION = 3
"""Weights hardly compress; a higher level costs seconds and gains nothing."""


def merge_listing(folders: Sequence[Path]) -> dict[str, Path]:
    """Map names to files and folders over all hosts; what two hosts wrote under one name is the first host's."""
    merged: dict[str, Path] = {}
    for folder in folders:
        for root, names, files in os.walk(folder):
            names.sort()
            for name in sorted(files) + names:
                path = Path(root, name)
                merged.setdefault(path.relative_to(folder).as_posix(), path)
    return merged


def write_archive(folders: Sequence[Path], target: Path) -> bool:
    """Pack the folders' content into `target`; False, and no file, when there is none.

    Links are packed as links, never followed: they could lead out of the job's folder.
    """
    members = merge_listing(folders)
    if not members:
        return False
    with tarfile.open(target, "w:gz", compresslevel=_COMPRESSION) as archive:
        for name, path in members.items():
            if path.is_symlink() or path.is_file() or path.is_dir():
                archive.add(path, arcname=name, recursive=False)
    return True
