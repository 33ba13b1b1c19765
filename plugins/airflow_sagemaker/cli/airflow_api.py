"""Client of Airflow's REST API and of this package's pages, for the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from airflow_sagemaker.contract import PAGES_URL_PREFIX
from airflow_sagemaker.exceptions import ExecutionError
from airflow_sagemaker.types import JsonObject


@dataclass(frozen=True)
class AirflowApi:
    """Airflow's public REST API; `token` is one from POST /auth/token. All errors are ExecutionError."""

    url: str
    token: str

    def get(self, path: str) -> JsonObject | None:
        """Return the decoded response, None for 404."""
        found: JsonObject | None = _fetch_json(self.url, f"/api/v2{path}", {"Authorization": f"Bearer {self.token}"})
        return found

    def page_data(self, path: str) -> list[JsonObject] | None:
        """Return the decoded response of this package's pages in that Airflow, None if it does not have them."""
        path = f"{PAGES_URL_PREFIX}{path}"
        found: list[JsonObject] | None = _fetch_json(self.url, path, {"Authorization": f"Bearer {self.token}"})
        return found

    def check(self) -> None:
        """Raise ExecutionError unless it is an Airflow 3; otherwise, all task runs would seem to be gone."""
        version = self.get("/version")
        if not isinstance(version, dict) or "version" not in version:
            raise ExecutionError(f"found no Airflow 3 at {self.url}; use the URL of its UI")

    @classmethod
    def signed_in(cls, url: str, username: str, password: str) -> AirflowApi:
        """Fetch a token."""
        body = json.dumps({"username": username, "password": password}).encode()
        answer = _fetch_json(url, "/auth/token", {"Content-Type": "application/json"}, body)
        if not isinstance(answer, dict) or "access_token" not in answer:
            raise ExecutionError(f"Airflow at {url} does not issue tokens for a username and password; use --token")
        return cls(url, str(answer["access_token"]))


class _SameHost(HTTPRedirectHandler):
    """Follows redirects only within the host, because urllib sends the token with them."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return None for a redirect to another host, which makes it an error."""
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if before.hostname != after.hostname or (before.scheme, after.scheme) == ("https", "http"):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch_json(url: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Any:
    """Return the decoded response, None for 404."""
    try:
        request = Request(f"{url.rstrip('/')}{path}", data=body, headers=headers)  # noqa: S310 - the user's own address
        with build_opener(_SameHost).open(request, timeout=30) as reply:
            return json.load(reply)
    except HTTPError as error:
        if error.code == 404:
            return None
        hints = {
            401: "wrong username, password or token, or the token has expired",
            403: "this user lacks the permission to read it",
        }
        away = f"it redirects to {error.headers.get('Location')}; use Airflow's own URL"
        hint = away if 300 <= error.code < 400 else hints.get(error.code, "see the API server's log")
        raise ExecutionError(f"Airflow at {url} responded with {error.code} {error.reason} ({hint})") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ExecutionError(f"Airflow at {url} cannot be reached: {reason} (is --airflow-url right?)") from error
    except ValueError:  # no URL, or no JSON; its text may hold the token
        hint = "use the URL of its UI, with http:// or https://"
        raise ExecutionError(f"{url} is not the URL of an Airflow instance; {hint}") from None
