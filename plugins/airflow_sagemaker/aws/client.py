"""Calls to AWS: which faults exist, which heal by waiting, and one way to make a call that waits them out.

botocore's own retries are silent and count differently per service, so clients made by `hooks.AwsTarget` have them off
(unless the connection or the caller sets `retries`) and every call goes through `Aws.call`: what heals is retried with
jittered back-off and said in the log, what does not is raised at once.
"""

from __future__ import annotations

import logging
import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sagemaker.aws.connections import AwsTarget

PATIENCE_SECONDS = 120.0
"""How long one call may be repeated before its fault is raised; beyond it Airflow's own retries take over."""

LONGEST_PAUSE_SECONDS = 20.0


class Fault(StrEnum):
    """What went wrong with a call, as far as the caller must act differently."""

    THROTTLED = "throttled"  # heals by waiting
    UNAVAILABLE = "unavailable"  # 5xx, connection refused, reset or timed out: heals by waiting
    CONFLICT = "conflict"  # another caller changed the same thing: look again
    QUOTA = "quota"  # an account limit is reached: heals when other work ends
    EXPIRED = "expired credentials"  # heals once by building the client anew
    CREDENTIALS = "no valid credentials"  # does not heal
    DENIED = "denied"  # does not heal
    NOT_FOUND = "not found"
    INVALID = "invalid request"  # does not heal
    OTHER = "other"


_CODES = {
    Fault.THROTTLED: {
        "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded",
        "RequestThrottled", "RequestThrottledException", "SlowDown", "PriorRequestNotComplete",
    },
    Fault.UNAVAILABLE: {
        "InternalFailure", "InternalError", "InternalServerException", "ServiceUnavailable",
        "ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException",
    },
    Fault.CONFLICT: {"ConflictException", "ResourceInUse", "OperationAborted"},
    Fault.QUOTA: {"ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"},
    Fault.EXPIRED: {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"},
    Fault.CREDENTIALS: {
        "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch",
        "InvalidSignatureException", "MissingAuthenticationToken", "IncompleteSignature",
    },
    Fault.DENIED: {
        "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired",
        "AllAccessDisabled", "403", "Forbidden",
    },
    Fault.NOT_FOUND: {"ResourceNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "404", "NotFound"},
}  # fmt: skip
_FAULT_OF_CODE = {code: fault for fault, codes in _CODES.items() for code in codes}

HEALING = frozenset({Fault.THROTTLED, Fault.UNAVAILABLE, Fault.EXPIRED})


def error_code(error: BaseException) -> str:
    """The service's error code, or the exception's class name."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", "")) or type(error).__name__
    return type(error).__name__


def error_text(error: BaseException) -> str:
    """The service's message, or the exception's text."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Message", "")) or str(error)
    return str(error)


def classify(error: BaseException) -> Fault:
    """Tell the faults of one call apart; works on botocore's exceptions and never raises."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    if isinstance(error, boto.ClientError):
        return _classify_reply(error)
    kinds: dict[Fault, tuple[type[BaseException], ...]] = {
        Fault.CREDENTIALS: (boto.NoCredentialsError, boto.PartialCredentialsError),
        Fault.EXPIRED: (boto.CredentialRetrievalError, boto.TokenRetrievalError),
        # A ResponseParserError is the HTML page of a proxy where the service's JSON should be.
        Fault.UNAVAILABLE: (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError, ResponseParserError),
        Fault.INVALID: (boto.ParamValidationError,),
    }
    return next((fault for fault, types in kinds.items() if isinstance(error, types)), Fault.OTHER)


def _classify_reply(error: Any) -> Fault:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    fault = _FAULT_OF_CODE.get(error_code(error))
    if fault is not None:
        return fault
    text = error_text(error).lower()
    # SageMaker answers some look-ups of missing things with a ValidationException.
    if error_code(error).startswith("Validation") and ("does not exist" in text or "not found" in text):
        return Fault.NOT_FOUND
    # CreatePipeline for a name that is taken; the service has worded it in both ways (aws/sagemaker-python-sdk #6256)
    if "already exists" in text or "names must be unique within an aws account" in text:
        return Fault.CONFLICT
    if status == 429:
        return Fault.THROTTLED
    return Fault.UNAVAILABLE if status >= 500 else Fault.INVALID


ADVICE = {
    Fault.QUOTA: "an account limit is reached; raise it under Service Quotas or run fewer at once",
    Fault.EXPIRED: "the credentials have expired; renew them in the Airflow connection or the environment",
    Fault.CREDENTIALS: "the credentials are missing or wrong; give them in the Airflow connection, or to boto3 by "
    "AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    Fault.DENIED: "the role lacks this permission; see the policy in the documentation",
}


def explain(error: BaseException, doing: str) -> str:
    """One line: what was being done, what AWS answered, what to do about it."""
    fault = classify(error)
    advice = f" ({ADVICE[fault]})" if fault in ADVICE else ""
    return f"{doing}: {error_code(error)}: {error_text(error)}{advice}"


class Aws:
    """The clients of one target, made when first used, and the one way to call them."""

    def __init__(
        self,
        target: AwsTarget,
        log: Any = None,
        *,
        patience: float = PATIENCE_SECONDS,
        stopped: threading.Event | None = None,
    ) -> None:
        self.target = target
        self.log = log or logging.getLogger(__name__)
        self.patience = patience
        self.stopped = stopped or threading.Event()
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The boto3 client of `service`, cached."""
        client = self._clients.get(service)
        if client is None:  # another thread may forget all clients at any moment
            client = self._clients[service] = self.target.client(service)
        return client

    def forget_clients(self) -> None:
        """Build every client anew at its next use: connection and credentials are read again."""
        self._clients.clear()
        self.target.forget()

    def call(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """Call `operation` (boto3's method name) and wait out what heals; raises botocore's own exceptions.

        Repeating is safe for every operation used here: reads, stops, and starts and deployments that carry a token or
        an alias.
        """

        def attempt() -> dict[str, Any]:
            client = self.client(service)
            reply: dict[str, Any] = getattr(client, operation)(**arguments)
            if not operation.startswith("head_"):  # a reply to HEAD has no body, whatever length it announces
                _check_whole(reply, client)
            return reply

        return self._retrying(f"{service}:{operation}")(attempt)

    def _retrying(self, what: str) -> Retrying:
        return Retrying(
            retry=retry_if_exception(_first_expiry_or_healing()),
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
        fault = classify(error)
        if fault is Fault.EXPIRED:
            self.forget_clients()
        self.log.warning(
            "%s: %s (%s: %s); attempt %d, next in %.1f s",
            what, fault.value, error_code(error), error_text(error), state.attempt_number, state.upcoming_sleep,
        )  # fmt: skip


def _check_whole(reply: dict[str, Any], client: Any) -> None:
    """Raise ConnectionClosedError for a reply whose body never came: botocore gives it as an empty success.

    It would mean "no such execution" or "no execution runs", where it says nothing at all.
    """
    from botocore.exceptions import ConnectionClosedError

    announced = int(reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-length") or 0)
    if announced > len("{}") and reply.keys() <= {"ResponseMetadata"}:
        raise ConnectionClosedError(endpoint_url=client.meta.endpoint_url)


def _first_expiry_or_healing() -> Callable[[BaseException], bool]:
    """Retry what heals; expired credentials only once, because a second client has read them anew."""
    expired = 0

    def heals(error: BaseException) -> bool:
        nonlocal expired
        fault = classify(error)
        if fault is Fault.EXPIRED:
            expired += 1
            return expired == 1
        return fault in HEALING

    return heals
