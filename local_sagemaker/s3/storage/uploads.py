"""Multipart uploads.

Nearly all clients send parts of equal size, except the last. Such parts are written to their slots in the file that
becomes the object, so completing an upload takes one rename and copies only the last part. A part with another size, or
a second one with the same number, goes into a separate file and is copied on completion.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.storage import checksums, staging
from local_sagemaker.s3.storage.catalog import Checksum, Info, Part, Upload
from local_sagemaker.s3.storage.objects import Objects, Precondition, StoredObject
from local_sagemaker.s3.storage.staging import Slot, StagedFile

MIN_PART_BYTES = 5 * 2**20
"""The minimum size of all parts except the last."""
MAX_PARTS = 10_000
_WHOLE = "whole"
"""The name of the file with slots."""
_LOCKS = 64
_KEEP_UNFINISHED = 7 * 86400.0
_KEEP_COMPLETED = 86400.0
"""How long a repeated CompleteMultipartUpload gets the same response."""


@dataclass(frozen=True)
class WantedPart:
    """A part, as listed in CompleteMultipartUpload."""

    number: int
    etag: str
    checksum: str | None


class Uploads:
    """The unfinished uploads of all buckets."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._catalog = objects.catalog
        self._writing: dict[str, set[int]] = {}
        """Slots being written, by upload."""
        self._locks = [threading.RLock() for _ in range(_LOCKS)]

    def sweep(self) -> None:
        """Delete old uploads, and files that belong to no upload."""
        now = time.time()
        self._catalog.forget_old_uploads(
            unfinished_before=now - _KEEP_UNFINISHED, completed_before=now - _KEEP_COMPLETED
        )
        staging.sweep(self._objects.staging, self._catalog.unfinished_ids())

    def create(self, bucket: str, key: str, info: Info) -> Upload:
        """Create an upload; `info` is the future object's metadata."""
        self._objects.bucket_folder(bucket)
        upload = Upload(secrets.token_hex(24), bucket, key, time.time(), info)
        self._folder(upload.id).mkdir()
        self._catalog.add_upload(upload)
        return upload

    def find(self, bucket: str, key: str, upload_id: str) -> Upload:
        """An unfinished upload; NoSuchUpload."""
        upload = self.known(bucket, key, upload_id)
        if upload.completed is not None:
            raise _no_such_upload(upload_id)
        return upload

    def known(self, bucket: str, key: str, upload_id: str) -> Upload:
        """An unfinished or recently completed upload; NoSuchUpload."""
        self._objects.bucket_folder(bucket)
        upload = self._catalog.upload(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise _no_such_upload(upload_id)
        return upload

    def unfinished(self, bucket: str) -> list[Upload]:
        """The unfinished uploads of a bucket by key, then by age."""
        self._objects.bucket_folder(bucket)
        return self._catalog.uploads(bucket)

    def parts(self, upload: Upload) -> list[Part]:
        """The parts of an upload by number."""
        return list(self._catalog.parts(upload.id))

    @contextmanager
    def stage_part(self, upload: Upload, number: int, size: int | None) -> Iterator[StagedFile | Slot]:
        """Where to write a part: its slot if the size is known and fits, else a separate file."""
        with self._holding(upload.id):
            upload = self.find(upload.bucket, upload.key, upload.id)
            stride = self._stride(upload, number, size)
            has_slot = stride is not None and stride == size and self._claim_slot(upload.id, number)
        if not has_slot or stride is None:
            with self._objects.stage() as staged:
                yield staged
            return
        try:
            with Slot(self._folder(upload.id) / _WHOLE, (number - 1) * stride, stride) as slot:
                yield slot
        except FileNotFoundError:
            raise _no_such_upload(upload.id) from None
        finally:
            with self._holding(upload.id):
                self._writing[upload.id].discard(number)
                if not self._writing[upload.id]:
                    del self._writing[upload.id]

    def _stride(self, upload: Upload, number: int, size: int | None) -> int | None:
        """The size of the upload's slots; set by the first part that cannot be the last one."""
        if upload.stride is not None or size is None or size < MIN_PART_BYTES:
            return upload.stride
        if number != 1 and size % 2**20:
            return None
        self._catalog.set_stride(upload.id, size)
        return size

    def _claim_slot(self, upload_id: str, number: int) -> bool:
        writing = self._writing.setdefault(upload_id, set())
        taken = number in writing or any(part.number == number for part in self._catalog.parts(upload_id))
        if not taken:
            writing.add(number)
        return not taken

    def add_part(self, upload: Upload, number: int, staged: StagedFile | Slot, etag: str, checksum: str | None) -> Part:
        """Record a part; it replaces an earlier one with the same number."""
        folder = self._folder(upload.id)
        file = _WHOLE if isinstance(staged, Slot) else f"{number}.{secrets.token_hex(4)}"
        part = Part(number, file, staged.size, etag, checksum, time.time())
        with self._holding(upload.id):
            self.find(upload.bucket, upload.key, upload.id)
            if isinstance(staged, StagedFile):
                staged.place(folder / part.file)
            replaced = self._catalog.save_part(upload.id, part)
            if replaced not in (None, _WHOLE):
                (folder / str(replaced)).unlink(missing_ok=True)
        return part

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Abort an upload; NoSuchUpload."""
        with self._holding(upload_id):
            self.find(bucket, key, upload_id)
            self._catalog.forget_upload(upload_id)
            shutil.rmtree(self._folder(upload_id), ignore_errors=True)

    def complete(
        self,
        upload: Upload,
        wanted: Sequence[WantedPart],
        precondition: Precondition,
        check: Callable[[int, Checksum | None], None],
    ) -> StoredObject:
        """Assemble the object from these parts; `check` gets its size and checksum first. InvalidPart and similar."""
        with self._holding(upload.id):
            upload = self.known(upload.bucket, upload.key, upload.id)
            if upload.completed is not None:
                return self._completed_before(upload)
            parts = _chosen(self.parts(upload), wanted, upload.info.checksum)
            info = _info_of_parts(upload.info, parts)
            check(sum(part.size for part in parts), info.checksum)
            with self._joined(upload, parts) as staged:
                stored = self._objects.publish(staged, upload.bucket, upload.key, info, precondition)
            self._catalog.complete_upload(upload.id, info.etag)
            shutil.rmtree(self._folder(upload.id), ignore_errors=True)
            return stored

    @contextmanager
    def _joined(self, upload: Upload, parts: Sequence[Part]) -> Iterator[StagedFile]:
        """One file with all parts. The upload stays intact if the file is not moved to its place."""
        stride, whole = upload.stride or 0, self._folder(upload.id) / _WHOLE
        in_place = 0
        for position, part in enumerate(parts):
            if part.file != _WHOLE or part.number != position + 1:
                break
            in_place = position + 1
        if in_place < max(len(parts) - 1, 1) or upload.id in self._writing:
            joined, in_place = self._objects.stage(), 0
        else:
            # truncation may cut off unwanted parts, which a later completion must not find
            self._catalog.keep_parts(upload.id, [part.number for part in parts])
            joined = StagedFile(whole, existing_bytes=in_place * stride)
        with joined as staged:
            for part in parts[in_place:]:
                with self._part_file(upload.id, part) as descriptor:
                    staged.append_file(descriptor, (part.number - 1) * stride if part.file == _WHOLE else 0, part.size)
            yield staged

    def _completed_before(self, upload: Upload) -> StoredObject:
        with contextlib.suppress(S3Error):
            stored = self._objects.find(upload.bucket, upload.key)
            if stored.info.etag == upload.completed:
                return stored
        raise _no_such_upload(upload.id)

    @contextmanager
    def _part_file(self, upload_id: str, part: Part) -> Iterator[int]:
        try:
            descriptor = os.open(self._folder(upload_id) / part.file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise _invalid_part() from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _folder(self, upload_id: str) -> Path:
        return self._objects.staging / upload_id

    def _holding(self, upload_id: str) -> threading.RLock:
        return self._locks[hash(upload_id) % len(self._locks)]


def _chosen(parts: Sequence[Part], wanted: Sequence[WantedPart], checksum: Checksum | None) -> list[Part]:
    known = {part.number: part for part in parts}
    chosen = []
    for position, want in enumerate(wanted):
        if position and want.number <= wanted[position - 1].number:
            raise S3Error("InvalidPartOrder", "The list of parts was not in ascending order.")
        part = known.get(want.number)
        if part is None or part.etag != want.etag:
            raise _invalid_part()
        if want.checksum is not None and want.checksum != part.checksum:
            raise _invalid_part()
        if checksum is not None and checksum.kind == "COMPOSITE" and want.checksum is None:
            text = f"The upload was created using a {checksum.algorithm.lower()} checksum. The complete request must"
            raise S3Error(
                "InvalidRequest", f"{text} include the checksum for each part. It was missing for part {want.number}"
            )
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < MIN_PART_BYTES:
            text = "Your proposed upload is smaller than the minimum allowed size"
            raise S3Error("EntityTooSmall", text, {"PartNumber": str(part.number), "ETag": part.etag})
    return chosen


def _info_of_parts(info: Info, parts: Sequence[Part]) -> Info:
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    etag = f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"
    checksum = info.checksum
    if checksum is not None:
        values = [(part.checksum, part.size) for part in parts if part.checksum is not None]
        if len(values) == len(parts):
            checksum = replace(checksum, value=checksums.of_parts(checksum.algorithm, checksum.kind, values))
        else:
            checksum = None
    return replace(info, etag=etag, checksum=checksum, parts=tuple((part.size, part.checksum) for part in parts))


def _no_such_upload(upload_id: str) -> S3Error:
    text = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or"
    return S3Error("NoSuchUpload", f"{text} completed.", {"UploadId": upload_id})


def _invalid_part() -> S3Error:
    text = "One or more of the specified parts could not be found. The part may not have been uploaded, or the"
    return S3Error("InvalidPart", f"{text} specified entity tag may not match the part's entity tag.")
