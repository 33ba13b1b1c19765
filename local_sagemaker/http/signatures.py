"""AWS Signature Version 4, checked on the server's side; used when others than this machine can reach the server."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/,\s]+/"
    r"(?P<scope>(?P<date>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request),"
    r"\s*SignedHeaders=(?P<headers>[a-z0-9;-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCK = timedelta(minutes=15)


def is_valid(environ: dict[str, Any], body: bytes, secret_key: str) -> bool:
    """Whether the request was signed with that key within the last (or next) fifteen minutes."""
    match = _AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    moment = environ.get("HTTP_X_AMZ_DATE", "")
    if match is None or "host" not in match["headers"].split(";") or not _is_fresh(moment, match["date"]):
        return False
    request = _canonical_request(environ, body, match["headers"].split(";"))
    text = "\n".join(("AWS4-HMAC-SHA256", moment, match["scope"], hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in (match["date"], match["region"], match["service"], "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), match["signature"])


def _is_fresh(moment: str, date: str) -> bool:
    try:
        signed = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return moment.startswith(date) and abs(datetime.now(UTC) - signed) <= _CLOCK


def _canonical_request(environ: dict[str, Any], body: bytes, headers: list[str]) -> str:
    query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query)
    return "\n".join(
        (
            environ["REQUEST_METHOD"],
            # WSGI hands the path decoded, as latin-1; every service but S3 encodes it twice
            quote(quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/-_.~"), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in encoded),
            *(f"{name}:{_header(environ, name)}" for name in headers),
            "",
            ";".join(headers),
            hashlib.sha256(body).hexdigest(),
        )
    )


def _header(environ: dict[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    value = environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", "")
    return re.sub(r"\s+", " ", str(value).strip())
