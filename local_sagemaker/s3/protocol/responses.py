"""Responses: XML documents, object headers, files sent by the kernel, and errors."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from typing import IO
from urllib.parse import quote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol import xml_text
from local_sagemaker.s3.protocol.xml_text import Node
from local_sagemaker.s3.storage.catalog import Checksum
from local_sagemaker.s3.storage.objects import StoredObject

OWNER_ID = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a"
OWNER: list[Node] = [("ID", OWNER_ID), ("DisplayName", "local")]
STALL_SECONDS = 60.0
"""How long a client may neither send nor read a byte in the middle of a body."""
_SEND_BYTES = 2**20


def xml(root: str, children: Iterable[Node], *, headers: Mapping[str, str] | None = None) -> web.Response:
    """200 with an XML document."""
    return web.Response(body=xml_text.document(root, children), content_type="application/xml", headers=headers)


def empty(status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A response without a body."""
    return web.Response(status=status, headers=headers)


def error(problem: S3Error, resource: str, request_id: str) -> web.Response:
    """The service's error document."""
    if problem.code == "NotModified":
        return web.Response(status=304, headers=problem.details)
    children: list[Node] = [("Code", problem.code), ("Message", problem.message), *problem.details.items()]
    children += [("Resource", resource), ("RequestId", request_id)]
    body = xml_text.document("Error", children, namespace=None)
    return web.Response(status=problem.status, body=body, content_type="application/xml")


def quoted(etag: str) -> str:
    """An ETag in quotes, as in headers and XML."""
    return f'"{etag}"'


def timestamp(seconds: float) -> str:
    """A time as written in XML: in whole seconds, like the Last-Modified header."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def url_encoded(text: str) -> str:
    """A key, encoded for `encoding-type=url`."""
    return quote(text, safe="/")


def checksum_headers(checksum: Checksum | None) -> dict[str, str]:
    """The headers of a checksum."""
    if checksum is None:
        return {}
    name = f"x-amz-checksum-{checksum.algorithm.lower()}"
    return {name: checksum.value, "x-amz-checksum-type": checksum.kind}


def checksum_nodes(checksum: Checksum | None) -> list[Node]:
    """The XML elements of a checksum."""
    if checksum is None:
        return []
    return [(f"Checksum{checksum.algorithm}", checksum.value), ("ChecksumType", checksum.kind)]


def object_headers(found: StoredObject) -> dict[str, str]:
    """The headers of an object for GET and HEAD, without length and checksum."""
    headers = {name.title(): value for name, value in found.info.headers.items()}
    headers |= {f"x-amz-meta-{name}": value for name, value in found.info.metadata.items()}
    headers["ETag"] = quoted(found.info.etag)
    headers["Last-Modified"] = formatdate(found.modified_second, usegmt=True)
    headers["Accept-Ranges"] = "bytes"
    if found.info.tags:
        headers["x-amz-tagging-count"] = str(len(found.info.tags))
    return headers


def kept_headers(found: StoredObject) -> dict[str, str]:
    """The headers of an object in the response to a write."""
    encryption = {name: value for name, value in found.info.headers.items() if "encryption" in name}
    return {"ETag": quoted(found.info.etag), **encryption, **checksum_headers(found.info.checksum)}


class FileResponse(web.StreamResponse):
    """A range of an open file, copied to the socket by the kernel; closes the file at the end."""

    def __init__(self, descriptor: int, first: int, count: int, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self.content_length = count
        self._file: IO[bytes] = os.fdopen(descriptor, "rb", buffering=0)
        self._first, self._count = first, count

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send headers and content; disconnect a client that reads nothing for STALL_SECONDS."""
        with self._file as file:
            writer = await super().prepare(request)
            transport = request.transport
            if transport is None:
                raise ConnectionResetError("the client disconnected")
            loop = asyncio.get_running_loop()
            position, end = self._first, self._first + self._count
            while position < end:
                size = min(_SEND_BYTES, end - position)
                try:
                    async with asyncio.timeout(STALL_SECONDS):
                        sent = await loop.sendfile(transport, file, position, size)
                except TimeoutError:
                    transport.abort()
                    raise ConnectionResetError("the client stopped reading") from None
                if sent < size:  # another process truncated the file: the Content-Length already sent is wrong
                    transport.abort()
                    raise ConnectionResetError("the file became shorter")
                position += size
            await super().write_eof()
            return writer
