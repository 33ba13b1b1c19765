"""The archives of a job's files: model.tar.gz and output.tar.gz."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from local_sagemaker.job_files import Entry, TooMuch, walk

_COMPRESSION = 3
"""Weights are hardly compressible: a higher level takes seconds longer for the same size."""


def write_archive(folders: Sequence[tuple[Path, Path]], target: Path, limit: int) -> bool:
    """Pack the content of folders, each below its anchor, into `target`; False, and no file, if they are empty.

    If several hosts have a file with the same name, the first host's is packed. Links are packed as links, since their
    targets may be outside of the job's folder. TooMuch if the files, including holes, have more than `limit` bytes:
    packing a huge sparse file could take forever.
    """
    written: set[str] = set()
    left = limit
    with tarfile.open(target, "w:gz", compresslevel=_COMPRESSION) as archive:
        for anchor, folder in folders:
            for entry in walk(anchor, folder):
                if entry.relative in written:
                    continue
                left -= entry.status.st_size if entry.is_file else 0
                if left < 0:
                    raise TooMuch(limit)
                if _add(archive, entry):
                    written.add(entry.relative)
    if not written:
        target.unlink()
    return bool(written)


def _add(archive: tarfile.TarFile, entry: Entry) -> bool:
    """Pack a file, folder or link; return whether it was packed."""
    if entry.is_file:
        with entry.open() as stream:
            archive.addfile(archive.gettarinfo(arcname=entry.relative, fileobj=stream), stream)
        return True
    info = tarfile.TarInfo(entry.relative)
    info.mode, info.mtime = entry.status.st_mode & 0o7777, int(entry.status.st_mtime)
    info.uid, info.gid = entry.status.st_uid, entry.status.st_gid
    if entry.is_folder:
        info.type = tarfile.DIRTYPE
    elif entry.is_link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link_target()
    else:
        return False
    archive.addfile(info)
    return True
