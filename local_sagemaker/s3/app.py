"""The S3 application: authenticates each request, finds its operation, and serves it or rejects it by name."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from local_sagemaker import disk
from local_sagemaker.addresses import is_own_name
from local_sagemaker.identifiers import ACCOUNT_ID
from local_sagemaker.s3.actions import buckets, copies, lists, objects, tags, uploads
from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol import operations, presigned, responses, target
from local_sagemaker.s3.protocol.authentication import Keys, authenticate
from local_sagemaker.s3.protocol.call import Call
from local_sagemaker.s3.storage.objects import Objects
from local_sagemaker.s3.storage.uploads import Uploads

log = logging.getLogger(__name__)

_Action = Callable[[Call], Awaitable[web.StreamResponse]]
ACTIONS: Mapping[str, _Action] = {
    "AbortMultipartUpload": uploads.abort_multipart_upload,
    "CompleteMultipartUpload": uploads.complete_multipart_upload,
    "CopyObject": copies.copy_object,
    "CreateBucket": buckets.create_bucket,
    "CreateMultipartUpload": uploads.create_multipart_upload,
    "DeleteBucket": buckets.delete_bucket,
    "DeleteBucketTagging": tags.delete_bucket_tagging,
    "DeleteObject": objects.delete_object,
    "DeleteObjectTagging": tags.delete_object_tagging,
    "DeleteObjects": objects.delete_objects,
    "GetBucketLocation": buckets.get_bucket_location,
    "GetBucketTagging": tags.get_bucket_tagging,
    "GetBucketVersioning": buckets.get_bucket_versioning,
    "GetObject": objects.get_object,
    "GetObjectAttributes": objects.get_object_attributes,
    "GetObjectTagging": tags.get_object_tagging,
    "HeadBucket": buckets.head_bucket,
    "HeadObject": objects.head_object,
    "ListBuckets": buckets.list_buckets,
    "ListMultipartUploads": uploads.list_multipart_uploads,
    "ListObjectVersions": lists.list_object_versions,
    "ListObjects": lists.list_objects,
    "ListObjectsV2": lists.list_objects_v2,
    "ListParts": uploads.list_parts,
    "PutBucketTagging": tags.put_bucket_tagging,
    "PutObject": objects.put_object,
    "PutObjectTagging": tags.put_object_tagging,
    "UploadPart": uploads.upload_part,
    "UploadPartCopy": copies.upload_part_copy,
}

_WORKERS = 8
_IDLE_SECONDS = 75.0
"""How long a connection may stay idle, or take to send a request's head."""
_MAX_HEAD_LINE = 32 * 1024


class Application:
    """Answers requests. `own_hosts_only` accepts only names of this machine as Host, against DNS rebinding."""

    def __init__(self, storage: Objects, keys: Keys, *, own_hosts_only: bool) -> None:
        self._objects = storage
        self._uploads = Uploads(storage)
        self._keys = keys
        self._own_hosts_only = own_hosts_only
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="s3")
        self._workers.submit(self._uploads.sweep)

    def protocol_factory(self) -> web.Server:
        """Return the protocol factory for asyncio's create_server."""
        return web.Server(
            self.answer,
            access_log=None,
            keepalive_timeout=_IDLE_SECONDS,
            auto_decompress=False,
            read_bufsize=2**18,
            max_line_size=_MAX_HEAD_LINE,
            max_field_size=_MAX_HEAD_LINE,
        )

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        request_id = secrets.token_hex(8).upper()
        raw = request.message.path
        try:
            response = await self._serve(request, raw)
        except S3Error as problem:
            if problem.code == "NotImplemented":  # the response to a HEAD has no body that could name it
                log.warning("%s %s: %s", request.method, raw.partition("?")[0][:200], problem.message)
            response = responses.error(problem, raw.partition("?")[0], request_id)
        except OSError as problem:
            if isinstance(problem, ConnectionError):
                raise
            response = responses.error(self._disk_problem(problem), raw.partition("?")[0], request_id)
        except Exception:
            log.exception("%s %s failed", request.method, raw.partition("?")[0])
            text = "We encountered an internal error; see the server's log."
            response = responses.error(S3Error("InternalError", text), raw.partition("?")[0], request_id)
        if not request.content.is_eof() and response.status >= 300:
            # the rest of the body would be read as the next request; with Expect: 100-continue it never arrives
            response.force_close()
            response.headers["Connection"] = "close"
        response.headers["Server"] = "LocalS3"
        response.headers["x-amz-request-id"] = request_id
        return response

    async def _serve(self, request: web.BaseRequest, raw: str) -> web.StreamResponse:
        headers = _headers(request)
        host = headers.get("host", "")
        if self._own_hosts_only and not is_own_name(host):
            raise S3Error(
                "AccessDenied", "On loopback, this server accepts only names of this machine as its host name."
            )
        found = target.parse(raw, host)
        moved = {} if "authorization" in headers else presigned.headers_in_query(found.query)
        caller = authenticate(request.method, found, headers, moved, self._keys)
        headers = presigned.effective(moved, headers)
        query = {name: value for name, value in reversed(found.query) if name.lower() not in moved}
        operation = operations.operation_of(request.method, found.level, query, headers)
        operations.check_served(operation, query, headers)
        for name in ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"):
            if headers.get(name, ACCOUNT_ID) != ACCOUNT_ID:
                raise S3Error("AccessDenied", "Access Denied: the bucket has another owner")
        call = Call(request, found, headers, query, caller, self._objects, self._uploads, self._workers)
        return await ACTIONS[operation.name](call)

    def _disk_problem(self, problem: OSError) -> S3Error:
        if disk.is_full(problem):
            short = disk.shortage(self._objects.folder, 2**63) or "the disk is full"
            log.error("an upload was rejected: %s", short)
            return S3Error("InsufficientStorage", f"No space left on device: {short}")
        log.error("a request failed: %s", problem)
        return S3Error("InternalError", f"The server's folder cannot be read or written: {problem.strerror}")


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """The headers by lower-case name, repeated ones joined; InvalidArgument for values that are not UTF-8."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        found[lower] = f"{found[lower]},{value}" if lower in found else value
    try:
        "".join(found.values()).encode()
    except UnicodeEncodeError:
        raise S3Error("InvalidArgument", "Header values must be UTF-8") from None
    return found
