"""The part of CodeArtifact that the SDK's requirement installer uses: a token, and an endpoint for pip.

Every repository mirrors this machine's package index: its simple pages redirect to that index. The index's URL may
contain a password, so the endpoint's path contains a secret, which only callers with the keys get. moto does not
implement CodeArtifact.
"""

from __future__ import annotations

import hmac
import re
import secrets
from urllib.parse import parse_qs

from local_sagemaker.errors import UnknownOperation, ValidationException
from local_sagemaker.identifiers import now
from local_sagemaker.types import Response

_SIMPLE = re.compile(
    r"/codeartifact/(?P<secret>[0-9a-f]{32})/[a-z0-9-]+/[A-Za-z0-9._-]+/simple/(?P<project>[A-Za-z0-9._-]*)/?"
)
_NAMES = {"domain": r"[a-z][a-z0-9-]{0,48}[a-z0-9]", "repository": r"[A-Za-z0-9][A-Za-z0-9._-]{1,99}"}
_TOKEN_SECONDS = 12 * 3600


def _checked(query: dict[str, list[str]], name: str) -> str:
    value = query.get(name, [""])[0]
    if not re.fullmatch(_NAMES[name], value):
        raise ValidationException(f"Value '{value[:200]}' at '{name}' failed to satisfy constraint: {_NAMES[name]}")
    return value


def path_secret(secret_key: str) -> str:
    """The secret in the path of every endpoint."""
    return hmac.digest(secret_key.encode(), b"codeartifact", "sha256").hex()[:32]


def answer(method: str, path: str, query_string: str, base_url: str, secret: str) -> Response:
    """Answer GetAuthorizationToken or GetRepositoryEndpoint; UnknownOperation for other actions."""
    query = parse_qs(query_string)
    if (method, path) == ("POST", "/v1/authorization-token"):
        _checked(query, "domain")
        return {"authorizationToken": secrets.token_urlsafe(48), "expiration": int(now()) + _TOKEN_SECONDS}
    if (method, path) == ("GET", "/v1/repository/endpoint"):
        domain, repository = _checked(query, "domain"), _checked(query, "repository")
        if query.get("format") != ["pypi"]:
            raise ValidationException("format: only pypi is supported by this local SageMaker.")
        return {"repositoryEndpoint": f"{base_url}/codeartifact/{secret}/{domain}/{repository}/"}
    raise UnknownOperation(f"{method} {path[:100]} of codeartifact is not supported by this local SageMaker.")


def index_location(path: str, package_index: str, secret: str) -> str | None:
    """The URL of a project's page on the machine's index; None if the path is not a repository's."""
    match = _SIMPLE.fullmatch(path)
    if match is None or not hmac.compare_digest(match["secret"], secret):
        return None
    return f"{package_index.rstrip('/')}/{match['project']}/" if match["project"] else f"{package_index.rstrip('/')}/"
