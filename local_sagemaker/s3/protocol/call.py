"""A request, and how an operation reads its body."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol.authentication import Caller
from local_sagemaker.s3.protocol.intake import Buffer, Intake, too_large
from local_sagemaker.s3.protocol.responses import STALL_SECONDS
from local_sagemaker.s3.protocol.target import Target
from local_sagemaker.s3.storage.objects import Objects
from local_sagemaker.s3.storage.uploads import Uploads

_P = ParamSpec("_P")
_T = TypeVar("_T")

_FEED_BYTES = 2**19
"""A body is passed to a worker in pieces of this size; at most two of them are in memory."""
MAX_DOCUMENT_BYTES = 4 * 2**20
"""The limit for an XML document; one with 10,000 parts and their checksums has 2 MB."""


@dataclass(frozen=True)
class Call:
    """An authenticated request; header names are in lower case."""

    request: web.BaseRequest
    target: Target
    headers: Mapping[str, str]
    query: Mapping[str, str]
    caller: Caller
    objects: Objects
    uploads: Uploads
    workers: Executor

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.target.bucket

    @property
    def key(self) -> str:
        """The object's key."""
        return self.target.key

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run blocking work in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, functools.partial(work, *args, **kwargs))

    async def receive(self, feed: Callable[[Iterable[bytes]], None]) -> list[bytes]:
        """Stream the body into `feed` in workers; return the last pieces, which the caller must feed."""
        await self._say_continue()
        pieces: list[bytes] = []
        held = 0
        feeding: asyncio.Future[None] | None = None
        try:
            while piece := await self._next_piece():
                pieces.append(piece)
                held += len(piece)
                if held >= _FEED_BYTES:
                    if feeding is not None:
                        await feeding
                    loop = asyncio.get_running_loop()
                    feeding = loop.run_in_executor(self.workers, feed, pieces)
                    pieces, held = [], 0
        finally:
            if feeding is not None:  # the caller closes the file, so the worker must be done with it
                await asyncio.wait([feeding])
        if feeding is not None:
            feeding.result()
        return pieces

    async def document(self, *, checksum_is_its_own: bool = True) -> bytearray:
        """Read and check a small body. `checksum_is_its_own=False` ignores checksum headers, which are the object's."""
        buffer = Buffer(MAX_DOCUMENT_BYTES)
        self.check_size(MAX_DOCUMENT_BYTES)
        headers = self.headers
        if not checksum_is_its_own:
            headers = {name: value for name, value in headers.items() if not name.startswith("x-amz-checksum-")}
        intake = Intake(headers, self.caller, buffer, max_bytes=MAX_DOCUMENT_BYTES)
        intake.feed(await self.receive(intake.feed))
        intake.finish()
        return buffer.content

    @property
    def size(self) -> int | None:
        """The content's size in bytes, if the client states it."""
        text = self.headers.get("x-amz-decoded-content-length", self.headers.get("content-length", ""))
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None

    def check_size(self, limit: int) -> None:
        """Raise EntityTooLarge before reading anything, if the client states the size."""
        if self.size is not None and self.size > limit:
            raise too_large(self.size, limit)

    async def _say_continue(self) -> None:
        if self.headers.get("expect", "").lower() == "100-continue":
            writer = self.request.writer
            await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.output_size = 0  # the response itself has not begun

    async def _next_piece(self) -> bytes:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                return await self.request.content.readany()
        except TimeoutError:
            text = "Your socket connection to the server was not read from or written to within the timeout period."
            raise S3Error("RequestTimeout", text) from None
        except (RequestPayloadError, HttpProcessingError):
            text = "You did not provide the number of bytes specified by the Content-Length HTTP header"
            raise S3Error("IncompleteBody", text) from None
