"""ClientRequestToken: a repeated token returns the first response, if the request is the same."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable

from local_sagemaker.errors import ValidationException
from local_sagemaker.identifiers import REGION, current_region, now
from local_sagemaker.json_text import dumps
from local_sagemaker.types import Request, Response


def answer_once(
    connection: sqlite3.Connection,
    action: str,
    request: Request,
    do: Callable[[], tuple[Response, str | None]],
    *,
    keyed_by: str = "ClientRequestToken",
) -> Response:
    """Run an action once per token and region, inside the caller's transaction; without a token, just run it.

    `do` returns the response and the resource's ARN.
    """
    token = request.get(keyed_by)
    if token is None:
        return do()[0]
    scope = action if current_region() == REGION else f"{current_region()}:{action}"
    fingerprint = hashlib.sha256(
        dumps({key: value for key, value in request.items() if key != keyed_by}).encode()
    ).hexdigest()
    row = connection.execute(
        "SELECT fingerprint, response FROM tokens WHERE action = ? AND token = ?", (scope, token)
    ).fetchone()
    if row is not None:
        if row["fingerprint"] != fingerprint:
            raise ValidationException(
                f"{keyed_by} '{token}' was used before for {action} with other parameters; use a new token"
            )
        answer: Response = json.loads(row["response"])
        return answer
    response, resource = do()
    connection.execute(
        "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?)", (scope, token, fingerprint, resource, dumps(response), now())
    )
    return response
