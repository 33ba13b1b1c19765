"""moto for STS and IAM, imported by the first request that needs it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from local_sagemaker.identifiers import ACCOUNT_ID, ROLE_ID, ROLE_NAME


class MotoBackends:
    """moto's WSGI application, with the role of jobs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._application: WSGIApplication | None = None

    def load(self) -> WSGIApplication:
        """Import moto (about a second) and create the role; later calls return at once."""
        with self._lock:
            if self._application is None:
                from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

                self._application = DomainDispatcherApplication(create_backend_app)
                _create_role()
            return self._application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse, body: bytes) -> Iterable[bytes]:
        """Pass on a request whose body has already been read."""
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        return self.load()(environ, start_response)


def _create_role() -> None:
    from moto.iam.models import iam_backends

    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = iam_backends[ACCOUNT_ID]["aws"].create_role(
        role_name=ROLE_NAME,
        assume_role_policy_document=json.dumps(trust),
        path="/",
        permissions_boundary=None,
        description="The role of pipelines and jobs in the local SageMaker",
        tags=[],
        max_session_duration="3600",
    )
    role.id = ROLE_ID
