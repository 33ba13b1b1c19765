"""The WSGI application: JSON 1.1 actions of SageMaker and Logs, CodeArtifact, STS and IAM, and the web UI."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from wsgiref.types import StartResponse, WSGIEnvironment

from local_sagemaker import service_model
from local_sagemaker.actions import ACTIONS
from local_sagemaker.actions.context import Context
from local_sagemaker.actions.local import LOCAL_ACTIONS
from local_sagemaker.addresses import is_own_name
from local_sagemaker.errors import ServiceError, UnknownOperation, ValidationException
from local_sagemaker.http import codeartifact, query_protocol, signatures
from local_sagemaker.http.moto_backends import MotoBackends
from local_sagemaker.http.peer import peer_uid
from local_sagemaker.http.throttle import Throttle
from local_sagemaker.identifiers import REGION, in_region
from local_sagemaker.json_text import loads
from local_sagemaker.logs import LOG_ACTIONS
from local_sagemaker.requests.members import unsupported_members
from local_sagemaker.types import Request, Response
from local_sagemaker.web import missing, render

log = logging.getLogger(__name__)

SERVICES = ("sts", "iam")
"""The services that moto implements here; others are rejected with an error that names them."""

_TARGETS = {"SageMaker": "sagemaker", "Logs_20140328": "logs", "LocalSageMaker": "local"}
"""The first part of X-Amz-Target, and botocore's name for the service."""

_XML_CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "UnrecognizedClientException": "InvalidClientTokenId",
}
"""The same errors' codes in XML services (IAM API reference, "Common Errors")."""

_SCOPE = re.compile(r"Credential=([^/,\s]+)/[^/]*/([^/]*)/([^/]*)/")


class Application:
    """The WSGI application."""

    def __init__(
        self,
        context: Context,
        moto: MotoBackends,
        *,
        access_key: str,
        secret_key: str,
        is_open: bool,
        s3_answers: Callable[[], bool],
        package_index: str,
        throttle: Throttle,
    ) -> None:
        """`is_open`: other machines can reach the server. It then accepts any Host, and pages require the keys."""
        self._context = context
        self._moto = moto
        self._access_key = access_key
        self._secret_key = secret_key
        self._is_open = is_open
        self._s3_answers = s3_answers
        self._package_index = package_index
        self._throttle = throttle
        self._index_secret = codeartifact.path_secret(secret_key)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        try:
            self._check_host(environ)
            prefix, _, operation = target.partition(".")
            if prefix in _TARGETS:
                _, body = self._authenticated(environ)
                if prefix == "SageMaker":  # Logs are not throttled: jobs write them through this server, too
                    self._throttle.take(operation)
                with in_region(_region(environ)):
                    response = answer(self._context, _TARGETS[prefix], operation, body)
                return _json(start_response, 200, response)
            return self._other(environ, start_response)
        except ServiceError as error:
            scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
            if scope is not None and (scope[3] in (*SERVICES, "s3") or query_protocol.is_form(environ)):
                text = query_protocol.error(scope[3], _XML_CODES.get(error.code, error.code), error.message)
                return _send(start_response, _STATUS[error.status], "text/xml", text)
            return _json(start_response, error.status, {"__type": error.code, "message": error.message}, error.code)
        except sqlite3.OperationalError as error:
            log.exception("%s cannot be written", target)
            text = f"The database in {self._context.data_dir} cannot be written: {error}. Is its disk full?"
            return _json(start_response, 500, {"__type": "InternalFailure", "message": text}, "InternalFailure")
        except Exception:
            log.exception("%s failed", target or environ.get("PATH_INFO"))
            fault = {"__type": "InternalFailure", "message": "The local SageMaker failed; see its log."}
            return _json(start_response, 500, fault, "InternalFailure")

    def _check_host(self, environ: WSGIEnvironment) -> None:
        is_health = environ["REQUEST_METHOD"] in ("GET", "HEAD") and environ.get("PATH_INFO") == "/health"
        if not (self._is_open or is_health or is_own_name(environ.get("HTTP_HOST", ""))):
            error = ServiceError(
                "On loopback, this server accepts only localhost and loopback addresses as its host name."
            )
            error.code, error.status = "AccessDeniedException", 403
            raise error

    def _authenticated(self, environ: WSGIEnvironment) -> tuple[str, bytes]:
        """Check the signature; return the service that the request was signed for, and the body."""
        service = self._check_key(environ)
        body = _body(environ)
        if (problem := signatures.problem(environ, body, self._secret_key)) is not None:
            error = ServiceError(problem)
            error.code, error.status = "InvalidSignatureException", 403
            raise error
        return service, body

    def _check_key(self, environ: WSGIEnvironment) -> str:
        match = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if match is None:
            error = ServiceError("Request is missing Authentication Token")
            error.code, error.status = "MissingAuthenticationTokenException", 403
            raise error
        if not secrets.compare_digest(match[1].encode(), self._access_key.encode()):
            error = ServiceError("The security token included in the request is invalid.")
            error.code, error.status = "UnrecognizedClientException", 403
            raise error
        return match[3]

    def _other(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and "AWS4" not in environ.get("HTTP_AUTHORIZATION", ""):
            return self._page(environ, start_response)
        service, body = self._authenticated(environ)
        if service == "codeartifact":
            method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
            # pip reaches this server by the same address as the caller
            base_url = f"http://{environ.get('HTTP_HOST', '')}"
            return _json(
                start_response,
                200,
                codeartifact.answer(method, path, environ.get("QUERY_STRING", ""), base_url, self._index_secret),
            )
        if service not in SERVICES:
            raise UnknownOperation(_refusal(service))
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "POST"):
            raise UnknownOperation(f"{service} accepts GET and POST, not {method[:20]}")
        form = environ.get("QUERY_STRING", "") if method == "GET" else body.decode("utf-8", "replace")
        query_protocol.check_action(service, form)
        with in_region(_region(environ)):
            own = query_protocol.own_answer(service, form, self._access_key, self._secret_key)
        if own is not None:
            return _send(start_response, "200 OK", "text/xml", own)
        return self._moto(environ, start_response, body)

    def _page(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/health":
            healthy = self._s3_answers()
            status = "200 OK" if healthy else "503 Service Unavailable"
            return _send(start_response, status, "text/plain", "ok\n" if healthy else "S3 does not respond\n")
        if (location := codeartifact.index_location(path, self._package_index, self._index_secret)) is not None:
            return _send(start_response, "302 Found", "text/plain", "", [("Location", location)])
        if not self._may_read(environ):
            extra = [("WWW-Authenticate", 'Basic realm="local SageMaker: access key and secret key"')]
            return _send(
                start_response,
                "401 Unauthorized",
                "text/plain",
                "sign in with the access key and the secret key\n",
                extra,
            )
        page = render(self._context, path, environ.get("QUERY_STRING", ""))
        if page is None:
            return _send(start_response, "404 Not Found", "text/html", missing(), _PAGE_HEADERS)
        return _send(start_response, "200 OK", "text/html", page, _PAGE_HEADERS)

    def _may_read(self, environ: WSGIEnvironment) -> bool:
        """On loopback, the server's user and root can read the pages, like the files; everyone else needs the keys."""
        return (not self._is_open and peer_uid(environ) in (0, os.geteuid())) or self._has_keys(environ)

    def _has_keys(self, environ: WSGIEnvironment) -> bool:
        expected = base64.b64encode(f"{self._access_key}:{self._secret_key}".encode()).decode()
        return secrets.compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode(), f"Basic {expected}".encode())


def _region(environ: WSGIEnvironment) -> str:
    """The region that a request was signed for; the default one if it has characters that no region has."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return scope[2] if scope is not None and re.fullmatch(r"[a-z0-9-]{1,32}", scope[2]) else REGION


def _refusal(service: str) -> str:
    if service == "s3":
        return "S3 is at AWS_ENDPOINT_URL_S3, not at AWS_ENDPOINT_URL: set both, see python -m local_sagemaker env"
    if service in ("sagemaker", "logs"):
        return (
            f"This request is signed for '{service}' but is not one of its JSON actions: sagemaker-runtime, -metrics,"
            " -geospatial and other services related to SageMaker are not supported by this local SageMaker"
        )
    known = ", ".join(("sagemaker", "s3", "logs", "codeartifact", *SERVICES))
    return f"The service '{service[:100]}' is not supported by this local SageMaker (supported: {known})"


def answer(context: Context, service: str, operation: str, body: bytes) -> Response:
    """Check a request, run its action, and check the response."""
    if service == "local" and operation in LOCAL_ACTIONS:
        return LOCAL_ACTIONS[operation](context, _parse(body))
    if service == "local" or operation not in (ACTIONS if service == "sagemaker" else LOG_ACTIONS):
        exists = service != "local" and operation in service_model.operation_names(service)
        known = "is not supported by this local SageMaker" if exists else "does not exist"
        raise UnknownOperation(f"The action {operation[:100]} of {service} {known}.")
    request = _parse(body)
    broken = list(service_model.violations(service_model.input_shape(operation, service), request))
    if broken:
        raise _invalid(service, service_model.validation_text(broken))
    request = {key: value for key, value in request.items() if value is not None}
    unsupported = list(unsupported_members(operation, request))
    if unsupported:
        raise _invalid(service, "; ".join(unsupported))
    if service == "sagemaker":
        response = ACTIONS[operation](context, request)
    else:
        response = LOG_ACTIONS[operation](context.logs, request)
    _check_response(service, operation, response)
    return response


def _invalid(service: str, message: str) -> ServiceError:
    error: ServiceError = ValidationException(message)
    if service == "logs":
        error.code = "InvalidParameterException"
    return error


def _parse(body: bytes) -> Request:
    try:
        request = loads(body.decode("utf-8") or "{}")
    except ValueError as error:
        raise _serialization(f"the body is not JSON in UTF-8: {str(error)[:200]}") from None
    if not isinstance(request, dict):
        raise _serialization("the body must be a JSON object")
    return request


def _serialization(message: str) -> ServiceError:
    error = ServiceError(message)
    error.code = "SerializationException"
    return error


def _check_response(service: str, operation: str, response: Response) -> None:
    shape = service_model.output_shape(operation, service)
    if shape is None:
        return
    # the model requires members that exist only later, such as ModelArtifacts of a running job; the service omits them
    broken = [text for text in service_model.violations(shape, response) if not text.endswith("must not be null")]
    if broken:
        log.error("the response of %s does not match the model: %s", operation, service_model.validation_text(broken))


def _body(environ: WSGIEnvironment) -> bytes:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    body: bytes = environ["wsgi.input"].read(length)
    return body


_STATUS = {
    200: "200 OK",
    400: "400 Bad Request",
    403: "403 Forbidden",
    413: "413 Payload Too Large",
    500: "500 Internal Server Error",
}


def _json(start_response: StartResponse, status: int, value: Response, error: str = "") -> list[bytes]:
    content = json.dumps(value).encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(content))),
        ("x-amzn-RequestId", query_protocol.request_id()),
    ]
    if error:
        headers.append(("x-amzn-ErrorType", error))
    start_response(_STATUS[status], headers)
    return [content]


_PAGE_HEADERS = [
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]


def _send(
    start_response: StartResponse, status: str, kind: str, text: str, extra: Sequence[tuple[str, str]] = ()
) -> list[bytes]:
    content = text.encode("utf-8", "replace")
    length = ("Content-Length", str(len(content)))
    start_response(status, [("Content-Type", f"{kind}; charset=utf-8"), length, *extra])
    return [content]
