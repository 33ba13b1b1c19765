"""Checks AWS Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote
from wsgiref.types import WSGIEnvironment

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/,\s]+/"
    r"(?P<scope>(?P<date>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request),"
    r"\s*SignedHeaders=(?P<headers>[a-z0-9;-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCK = timedelta(minutes=5)
"""Maximum clock skew of a client (IAM User Guide, "Signature Version 4")."""
_MOMENT = "%Y%m%dT%H%M%SZ"
_DIFFERS = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
    " and signing method. Consult the service documentation for details."
)


def problem(environ: WSGIEnvironment, body: bytes, secret_key: str) -> str | None:
    """The service's message for a signature that is not valid; None for a valid one."""
    match = _AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    moment = environ.get("HTTP_X_AMZ_DATE", "")
    if match is None or "host" not in match["headers"].split(";") or not moment.startswith(match["date"]):
        return _DIFFERS
    request = _canonical_request(environ, body, match["headers"].split(";"))
    text = "\n".join(("AWS4-HMAC-SHA256", moment, match["scope"], hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in (match["date"], match["region"], match["service"], "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), match["signature"]):
        return _DIFFERS
    return _clock_problem(moment)


def _clock_problem(moment: str) -> str | None:
    try:
        signed = datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return _DIFFERS
    now = datetime.now(UTC)
    for limit, sign, text in (
        (now - _CLOCK, "-", "Signature expired: {} is now earlier than {} ({} {} 5 min.)"),
        (now + _CLOCK, "+", "Signature not yet current: {} is still later than {} ({} {} 5 min.)"),
    ):
        if signed < limit if sign == "-" else signed > limit:
            return text.format(moment, limit.strftime(_MOMENT), now.strftime(_MOMENT), sign)
    return None


def _canonical_request(environ: WSGIEnvironment, body: bytes, headers: list[str]) -> str:
    query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query)
    return "\n".join(
        (
            environ["REQUEST_METHOD"],
            # WSGI passes the path decoded, as latin-1; every service except S3 encodes it twice
            quote(quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/-_.~"), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in encoded),
            *(f"{name}:{_header(environ, name)}" for name in headers),
            "",
            ";".join(headers),
            hashlib.sha256(body).hexdigest(),
        )
    )


def _header(environ: WSGIEnvironment, name: str) -> str:
    key = name.upper().replace("-", "_")
    value = environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", "")
    return re.sub(r"\s+", " ", str(value).strip())
