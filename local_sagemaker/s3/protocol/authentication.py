"""Signatures of version 4 and 2, in headers or in the query (presigned). Unsigned requests are rejected.

Sources: the service's pages "Authenticating Requests (AWS Signature Version 4)" and "Signing and authenticating REST
requests (AWS signature version 2)".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol.target import Target

UNSIGNED = "UNSIGNED-PAYLOAD"
_ALGORITHM = "AWS4-HMAC-SHA256"
_CLOCK_SKEW = timedelta(minutes=15)
_MAX_EXPIRES = 7 * 86400
_DATE = "%Y%m%dT%H%M%SZ"
_MOMENT = re.compile(r"\d{8}T\d{6}Z")
_V2_RESOURCES = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    }
)  # fmt: skip
"""Query parameters that are part of a version 2 signature."""


@dataclass(frozen=True)
class Keys:
    """The only accepted key pair."""

    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Caller:
    """What an authenticated request's signature contains.

    `payload` is the claim about the body: a SHA-256 in hex, UNSIGNED-PAYLOAD or STREAMING-.... The other fields are
    needed to check the signatures of the body's chunks.
    """

    region: str
    payload: str = UNSIGNED
    signature: str = ""
    signing_key: bytes = b""
    moment: str = ""
    scope: str = ""


@dataclass(frozen=True)
class _Claim:
    """The fields of a version 4 signature, as the request claims them."""

    access_key: str
    date: str
    region: str
    moment: str
    signed_headers: Sequence[str]
    signature: str

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/s3/aws4_request"


def authenticate(
    method: str, target: Target, headers: Mapping[str, str], moved: Mapping[str, str], keys: Keys
) -> Caller:
    """Check a request's signature; S3Error with the service's code if it is not valid.

    Header names are in lower case; `moved` has those that a presigned address contains as query parameters.
    """
    query = dict(target.query)
    authorization = headers.get("authorization", "")
    if authorization.startswith(_ALGORITHM):
        claim = _claim_of_header(authorization, headers)
        payload = headers.get("x-amz-content-sha256")
        if payload is None:
            raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        _check_clock(_moment(claim.moment))
        return _check_v4(method, target, headers, keys, claim, payload, target.query)
    if authorization.startswith("AWS "):
        access_key, _, signature = authorization[4:].rpartition(":")
        moment = headers.get("x-amz-date") or headers.get("date", "")
        _check_clock(_http_date(moment))
        signed_date = "" if "x-amz-date" in headers else moment
        return _check_v2(method, target, headers, keys, (access_key, signature, signed_date))
    if authorization:
        raise S3Error("InvalidArgument", "Unsupported Authorization Type", {"ArgumentName": "Authorization"})
    if "X-Amz-Algorithm" in query:
        claim = _claim_of_query(query)
        rest = [(name, value) for name, value in target.query if name != "X-Amz-Signature"]
        payload = headers.get("x-amz-content-sha256", query.get("X-Amz-Content-Sha256", UNSIGNED))
        return _check_v4(method, target, headers, keys, claim, payload, rest)
    if "AWSAccessKeyId" in query:
        expires = query.get("Expires", "")
        if not expires.isdecimal() or int(expires) < datetime.now(UTC).timestamp():
            raise S3Error("AccessDenied", "Request has expired")
        claimed = (query["AWSAccessKeyId"], query.get("Signature", ""), expires)
        return _check_v2(method, target, {**moved, **headers}, keys, claimed)
    raise S3Error("AccessDenied", "Access Denied: the request is not signed")


def _claim_of_header(authorization: str, headers: Mapping[str, str]) -> _Claim:
    fields = dict(item.strip().partition("=")[::2] for item in authorization[len(_ALGORITHM) :].split(","))
    try:
        return _claim(
            fields["Credential"],
            headers.get("x-amz-date", ""),
            fields["SignedHeaders"],
            fields["Signature"],
        )
    except (KeyError, ValueError):
        raise S3Error("AuthorizationHeaderMalformed", "The authorization header is malformed.") from None


def _claim_of_query(query: Mapping[str, str]) -> _Claim:
    try:
        if query["X-Amz-Algorithm"] != _ALGORITHM:
            raise ValueError
        claim = _claim(
            query["X-Amz-Credential"], query["X-Amz-Date"], query["X-Amz-SignedHeaders"], query["X-Amz-Signature"]
        )
        seconds = int(query["X-Amz-Expires"])
        if not 0 < seconds <= _MAX_EXPIRES:
            raise ValueError
        begin = _moment(claim.moment)
    except (KeyError, ValueError):
        text = (
            "Query-string authentication version 4 requires valid X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature,"
        )
        text += f" X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires (1 to {_MAX_EXPIRES}) parameters."
        raise S3Error("AuthorizationQueryParametersError", text) from None
    now = datetime.now(UTC)
    if now > begin + timedelta(seconds=seconds):
        raise S3Error("AccessDenied", "Request has expired", {"X-Amz-Expires": str(seconds)})
    if begin - now > _CLOCK_SKEW:
        raise S3Error("AccessDenied", "Request is not valid yet")
    return claim


def _claim(credential: str, moment: str, signed_headers: str, signature: str) -> _Claim:
    access_key, date, region, service, end = credential.rsplit("/", 4)
    if (service, end) != ("s3", "aws4_request") or not re.fullmatch(r"\d{8}", date) or not moment.startswith(date):
        raise ValueError
    names = signed_headers.split(";")
    if "host" not in names:
        raise ValueError
    return _Claim(access_key, date, region, moment, names, signature)


def _check_v4(
    method: str,
    target: Target,
    headers: Mapping[str, str],
    keys: Keys,
    claim: _Claim,
    payload: str,
    query: Sequence[tuple[str, str]],
) -> Caller:
    _check_access_key(claim.access_key, keys)
    for name in headers:
        if name.startswith("x-amz-") and name not in claim.signed_headers:
            text = "There were headers present in the request which were not signed"
            raise S3Error("AccessDenied", text, {"HeadersNotSigned": name})
    key = signing_key(keys.secret_key, claim.date, claim.region)
    # some clients send and sign a slash in a key as %2F
    paths = dict.fromkeys((quote(target.path, safe="/-_.~"), target.raw_path))
    if not any(
        _same(_v4_signature(method, path, headers, claim, payload, query, key), claim.signature) for path in paths
    ):
        raise _does_not_match()
    return Caller(claim.region, payload, claim.signature, key, claim.moment, claim.scope)


def _v4_signature(
    method: str,
    path: str,
    headers: Mapping[str, str],
    claim: _Claim,
    payload: str,
    query: Sequence[tuple[str, str]],
    key: bytes,
) -> str:
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(f"{name}={value}" for name, value in sorted((_quoted(a), _quoted(b)) for a, b in query)),
            *(f"{name}:{_folded(headers.get(name, ''))}" for name in claim.signed_headers),
            "",
            ";".join(claim.signed_headers),
            payload,
        )
    )
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = "\n".join((_ALGORITHM, claim.moment, claim.scope, digest))
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256").hex()


def signing_key(secret_key: str, date: str, region: str) -> bytes:
    """The signing key for a date and region."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _check_v2(
    method: str, target: Target, headers: Mapping[str, str], keys: Keys, claimed: tuple[str, str, str]
) -> Caller:
    access_key, signature, date = claimed
    _check_access_key(access_key, keys)
    amz = sorted(name for name in headers if name.startswith("x-amz-"))
    # some clients sign a bucket's path with a trailing slash
    resources = [target.raw_resource] if target.key else [target.raw_resource, f"{target.raw_resource}/"]
    query = "&".join(
        f"{name}={value}" if value else name for name, value in sorted(target.query) if name in _V2_RESOURCES
    )
    lines = (method, headers.get("content-md5", ""), headers.get("content-type", ""), date)
    before = "\n".join((*lines, *(f"{name}:{_folded(headers[name])}" for name in amz)))
    for path in resources:
        text = f"{before}\n{path}?{query}" if query else f"{before}\n{path}"
        expected = hmac.digest(keys.secret_key.encode(), text.encode("utf-8", "surrogateescape"), "sha1")
        if _same(base64.b64encode(expected).decode(), signature):
            return Caller(region="us-east-1", payload=headers.get("x-amz-content-sha256", UNSIGNED))
    raise _does_not_match()


def _check_access_key(claimed: str, keys: Keys) -> None:
    if not _same(keys.access_key, claimed):
        text = "The AWS Access Key Id you provided does not exist in our records."
        raise S3Error("InvalidAccessKeyId", text)


def _same(expected: str, claimed: str) -> bool:
    return hmac.compare_digest(expected.encode(), claimed.encode("utf-8", "surrogateescape"))


def _does_not_match() -> S3Error:
    text = "The request signature we calculated does not match the signature you provided. Check your key and signing"
    return S3Error("SignatureDoesNotMatch", f"{text} method.")


def _moment(text: str) -> datetime:
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except ValueError:
        raise _no_date() from None


def _http_date(text: str) -> datetime:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        try:
            return _moment(text)
        except S3Error:
            raise _no_date() from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _no_date() -> S3Error:
    return S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")


def _check_clock(moment: datetime) -> None:
    now = datetime.now(UTC)
    if abs(now - moment) > _CLOCK_SKEW:
        text = "The difference between the request time and the current time is too large."
        details = {"RequestTime": moment.strftime(_DATE), "ServerTime": now.strftime(_DATE)}
        raise S3Error("RequestTimeTooSkewed", text, {**details, "MaxAllowedSkewMilliseconds": "900000"})


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _folded(value: str) -> str:
    return " ".join(value.split())
