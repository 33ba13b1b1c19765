"""All calls to AWS: transient faults (`aws.faults`) are logged and retried, all others are raised immediately.

botocore's own retries are silent and differ per service, so clients of `connections.AwsTarget` have none (unless the
connection or the caller sets `retries`), and all calls use `Aws.call`.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from airflow_sagemaker.aws.faults import (
    HEALING,
    RELOADING,
    UnreadableReply,
    check_whole,
    classify_error,
    error_code,
    error_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.aws.responses import Response
    from airflow_sagemaker.types import BotoClient, JsonObject, Log

PATIENCE_SECONDS = 120.0
"""How long a call is retried before its fault is raised; then Airflow retries the task."""

LONGEST_PAUSE_SECONDS = 20.0

_TOKENS = {"NextToken": "NextToken", "NextContinuationToken": "ContinuationToken"}
"""Member of a listing page with the token of the next one, and the argument that takes it; the second pair is S3's."""


class Aws:
    """The clients of one target, created on first use, and calls with retries."""

    def __init__(
        self,
        target: AwsTarget,
        log: Log | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
        stopped: threading.Event | None = None,
    ) -> None:
        self.target = target
        self.log: Log = log or logging.getLogger(__name__)
        self.patience = patience
        self.stopped = stopped or threading.Event()
        self._clients: dict[str, BotoClient] = {}

    def client(self, service: str) -> BotoClient:
        """Return the cached boto3 client of `service`."""
        client = self._clients.get(service)
        if client is None:  # another thread may forget all clients at any moment
            client = self._clients[service] = self.target.client(service)
        return client

    def forget_clients(self) -> None:
        """Create all clients again at their next use, with connection and credentials reloaded."""
        self._clients.clear()
        self.target.forget()

    def call(self, service: str, operation: str, /, **arguments: object) -> Response:
        """Call `operation` (the name of boto3's method) and retry transient faults; raises botocore's exceptions.

        Retrying is safe for all operations used here: reads, stops, and starts and deployments with a token or alias.
        """
        return self._retrying(f"{service}:{operation}")(self.once, service, operation, **arguments)

    def pages(self, service: str, operation: str, /, **arguments: object) -> Iterator[Response]:
        """Yield the listing pages of `operation`; each is requested by `call` when it is consumed."""
        token: dict[str, str] = {}
        while True:
            page = self.call(service, operation, **arguments, **token)
            yield page
            token = {argument: page[member] for member, argument in _TOKENS.items() if page.get(member)}
            if not token:
                return

    def once(self, service: str, operation: str, /, **arguments: object) -> Response:
        """Make one attempt, for callers that wait themselves; forgets the clients if credentials are invalid."""
        client = self.client(service)
        method = getattr(client, operation)
        try:
            reply: JsonObject = method(**arguments)
        except (UnicodeDecodeError, AttributeError, LookupError) as error:
            # what botocore's parsers raise for a body that is not a response from AWS
            raise UnreadableReply(f"{type(error).__name__}: {error}") from error
        except Exception as error:
            if classify_error(error) in RELOADING:
                self.forget_clients()
            raise
        if not operation.startswith("head_"):  # a reply to HEAD has no body, whatever length it announces
            check_whole(reply, _reply_members(client, operation))
        return reply

    def _retrying(self, what: str) -> Retrying:
        return Retrying(
            retry=retry_if_exception(_first_reload_or_healing()),
            stop=stop_any(stop_after_delay(self.patience), stop_when_event_set(self.stopped)),
            wait=wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE_SECONDS),
            sleep=sleep_using_event(self.stopped),
            before_sleep=lambda state: self._said(what, state),
            reraise=True,
        )

    def _said(self, what: str, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is None:
            return
        self.log.warning(
            "%s: %s (%s: %s); attempt %d, next in %.1f s",
            what, classify_error(error).value, error_code(error), error_text(error), state.attempt_number,
            state.upcoming_sleep,
        )  # fmt: skip


def _reply_members(client: BotoClient, operation: str) -> frozenset[str]:
    """Return the names of the members of an operation's response."""
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    return frozenset(model.output_shape.members if model.output_shape is not None else ())


def _first_reload_or_healing() -> Callable[[BaseException], bool]:
    """Retry transient faults; invalid credentials only once, because the second client has reloaded them.

    Missing ones are not retried: nothing was there that another key could have replaced.
    """
    reloads = 0

    def heals(error: BaseException) -> bool:
        nonlocal reloads
        fault = classify_error(error)
        if fault in RELOADING:
            reloads += 1
            return reloads == 1 and error_code(error) not in {"NoCredentialsError", "PartialCredentialsError"}
        return fault in HEALING

    return heals
