"""Calls a running server's own actions from the command line."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from local_sagemaker.errors import StartError
from local_sagemaker.types import Request, Response


def call_local_action(environment: dict[str, str], action: str, request: Request) -> Response:
    """Send a signed request; StartError if the server rejects it or does not respond."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url, body = environment["AWS_ENDPOINT_URL"], json.dumps(request).encode()
    headers = {"X-Amz-Target": f"LocalSageMaker.{action}", "Content-Type": "application/x-amz-json-1.1"}
    signed = AWSRequest("POST", f"{url}/", data=body, headers=headers)
    keys = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, "sagemaker", environment["AWS_DEFAULT_REGION"]).add_auth(signed)
    try:
        prepared = urllib.request.Request(f"{url}/", data=body, headers=dict(signed.headers))  # noqa: S310
        with urllib.request.urlopen(prepared, timeout=60) as answer:  # noqa: S310
            found: Response = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise StartError(json.load(error).get("message", str(error))) from None
    except OSError as error:
        raise StartError(f"the server at {url} does not respond ({error})") from None
