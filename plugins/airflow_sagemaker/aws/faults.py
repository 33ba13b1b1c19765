"""What errors of AWS mean, and what is done about them: one table for the whole package.

Only explicit responses count. *Gone* means ResourceNotFound or a message that SageMaker is known to use, not any status
4xx: a corporate proxy may respond 404, 407, 408 or 413 with a page of HTML. A response without an error code of AWS is
from something in between, and is transient. Unrecognised errors are never treated as "invalid" but as `UNKNOWN`: it is
then assumed neither that the request was rejected nor that it was processed.

docs/reference/faults.md is generated from this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from airflow_sagemaker.types import JsonObject


class Fault(StrEnum):
    """What went wrong with a call; faults differ if the caller must act differently."""

    GONE = "gone"
    REFUSED = "refused"
    CONFLICT = "conflict"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    IN_BETWEEN = "not a response from AWS"
    CLOCK = "clock skew"
    QUOTA = "quota"
    EXPIRED = "expired credentials"
    CREDENTIALS = "no valid credentials"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What to do about a fault."""

    REPEAT = "repeat the call with jittered backoff until patience runs out"
    REPEAT_ONCE = "reload connection and credentials, repeat once"
    LOOK = "check the current state, then repeat or continue with it"
    BELIEVE = "accept it as the answer"
    WAIT = "release the worker slot and try again later, up to max_wait"
    FAIL = "fail this attempt; a retry continues from the record"


@dataclass(frozen=True)
class Rule:
    """A row of the table: how a fault is recognised, what it means, what is done, and the advice in its message."""

    fault: Fault
    means: str
    action: Action
    codes: tuple[str, ...] = ()
    """AWS's error codes."""
    texts: tuple[str, ...] = ()
    """Regular expressions for messages of errors whose code is ambiguous."""
    errors: tuple[str, ...] = ()
    """Names of botocore's exceptions without a response."""
    otherwise: str = ""
    """Other responses that are treated alike, for the documentation."""
    advice: str = ""


RULES = (
    Rule(
        Fault.GONE, "it does not exist", Action.BELIEVE,
        codes=("ResourceNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket"),
        # DescribeTrainingJob (aws/aws-sdk#165) and, of other jobs and models, "Could not find ..."
        texts=(r"^Requested resource not found", r"^Could not find (requested )?\S+ "),
        otherwise="404 to a HEAD request, with S3's own request id",
    ),
    Rule(
        Fault.CONFLICT, "another caller is changing it, or it already exists", Action.LOOK,
        codes=("ConflictException", "ResourceInUse", "ResourceInUseException", "OperationAborted",
               "ConditionalRequestConflict"),
        # CreatePipeline for a name that is taken; worded in both ways (aws/sagemaker-python-sdk#6256)
        texts=(r"already exists", r"names must be unique within an AWS account"),
    ),
    Rule(
        Fault.THROTTLED, "too many calls", Action.REPEAT,
        codes=("Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "SlowDown",
               "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "PriorRequestNotComplete"),
        otherwise="status 429",
    ),
    Rule(
        Fault.UNAVAILABLE, "AWS or the connection to it is down", Action.REPEAT,
        codes=("InternalFailure", "InternalError", "InternalServerException", "ServiceUnavailable",
               "ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException"),
        errors=("HTTPClientError", "ConnectionError", "IncompleteReadError"),
        otherwise="any status of 500 or above; a reply without its body",
    ),
    Rule(
        Fault.IN_BETWEEN, "a proxy, gateway or login page responded instead of AWS", Action.REPEAT,
        errors=("ProxyConnectionError", "SSLError", "ResponseParserError"),
        otherwise="any status below 500 without an error code of AWS; a body that cannot be read",
        advice="something between Airflow and AWS responded; check HTTPS_PROXY, NO_PROXY and the proxy's log",
    ),
    Rule(
        Fault.CLOCK, "the request's time differs too much from AWS's", Action.REPEAT,
        codes=("RequestTimeTooSkewed",), texts=(r"^Signature (expired|not yet current)",),
        advice="the clock of this host is wrong; synchronise it",
    ),
    Rule(
        Fault.EXPIRED, "the credentials have expired", Action.REPEAT_ONCE,
        codes=("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        errors=("CredentialRetrievalError", "TokenRetrievalError"),
        otherwise="400 to a HEAD request, with S3's own request id",
        advice="the credentials have expired; renew them in the Airflow connection or the environment",
    ),
    Rule(
        Fault.QUOTA, "an account limit is reached", Action.WAIT,
        codes=("ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"),
        advice="an account limit is reached; raise it under Service Quotas or run fewer at once",
    ),
    Rule(
        Fault.DENIED, "the role lacks a permission", Action.FAIL,
        codes=("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired",
               "AllAccessDisabled"),
        otherwise="403 to a HEAD request, with S3's own request id",
        advice="the role lacks this permission; see the policy in the documentation",
    ),
    Rule(
        Fault.CREDENTIALS, "the credentials are missing, wrong or replaced", Action.REPEAT_ONCE,
        codes=("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch",
               "InvalidSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
               "IncompleteSignature", "IncompleteSignatureException"),
        errors=("NoCredentialsError", "PartialCredentialsError"),
        advice="the credentials are missing or wrong; set them in the Airflow connection, or for boto3 in "
        "AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    Rule(
        Fault.REFUSED, "the request is invalid and was not processed", Action.FAIL,
        codes=("ValidationException", "ValidationError", "InvalidParameterValue", "InvalidParameterException",
               "InvalidParameterCombination", "MissingParameter", "SerializationException", "UnknownOperationException",
               "InvalidAction", "InvalidArgument", "InvalidRequest", "InvalidBucketName", "PermanentRedirect",
               "AuthorizationHeaderMalformed", "EntityTooLarge", "KeyTooLongError"),
        errors=("ParamValidationError",),
    ),
    Rule(
        Fault.UNKNOWN, "it is unknown whether the request was processed", Action.FAIL,
        otherwise="any other error code, any other exception",
    ),
)  # fmt: skip
"""If several rules match, the first whose text matches applies, then the one with the code."""

RULE = {rule.fault: rule for rule in RULES}
HEALING = frozenset(rule.fault for rule in RULES if rule.action in {Action.REPEAT, Action.REPEAT_ONCE})
RELOADING = frozenset(rule.fault for rule in RULES if rule.action is Action.REPEAT_ONCE)
"""Faults after which connection and credentials are reloaded: keys may have been renewed or replaced since."""
NOT_CARRIED_OUT = frozenset({Fault.GONE, Fault.CREDENTIALS, Fault.DENIED, Fault.QUOTA, Fault.REFUSED})
"""Responses by which AWS confirms that a request has no effect."""

_BY_CODE = {code: rule.fault for rule in RULES for code in rule.codes}
_BY_ERROR = {name: rule.fault for rule in RULES for name in rule.errors}
_BY_TEXT = tuple((re.compile(text, re.IGNORECASE), rule.fault) for rule in RULES for text in rule.texts)
_TEXTS_COUNT = frozenset({"ValidationException", "ValidationError", "InvalidSignatureException"})
"""Ambiguous codes, for which the message decides."""
_HEAD = {404: Fault.GONE, 403: Fault.DENIED, 400: Fault.EXPIRED}


class UnreadableReply(Exception):
    """A reply that is not the operation's: HTML, unrelated JSON, or bytes that are not text."""


def error_code(error: BaseException) -> str:
    """Return the service's error code, the status of a response without one, or the exception's class name."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return str(response.get("Error", {}).get("Code") or status or type(error).__name__)
    return type(error).__name__


def error_text(error: BaseException) -> str:
    """Return the service's message in one line, or the exception's text; for a page of HTML, its title."""
    response = getattr(error, "response", None)
    found = response.get("Error", {}) if isinstance(response, dict) else {}
    if found and not found.get("Code") and not found.get("Message"):  # a body that botocore cannot read
        return "a response that is not of AWS"
    return _one_line(str(found.get("Message", "")) or str(error))


def _one_line(text: str) -> str:
    if "<html" in text[:1000].lower():
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = f"a page of HTML: {title[1].strip() if title else 'without a title'}"
    text = " ".join(text.split())
    return text if len(text) <= 500 else f"{text[:500]}... ({len(text)} characters)"


def classify_error(error: BaseException) -> Fault:
    """Return the fault of a call's exception; never raises."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return _of_reply(error)
    if isinstance(error, UnreadableReply):
        return Fault.IN_BETWEEN
    return next((_BY_ERROR[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _BY_ERROR), Fault.UNKNOWN)


def _of_reply(error: ClientError) -> Fault:
    code, text = error_code(error), str(error.response.get("Error", {}).get("Message", ""))
    if code in _TEXTS_COUNT:
        return next((fault for pattern, fault in _BY_TEXT if pattern.search(text)), _BY_CODE[code])
    if code in _BY_CODE:
        return _BY_CODE[code]
    metadata = error.response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode") or 0)
    if status == 429:
        return Fault.THROTTLED
    if status >= 500:
        return Fault.UNAVAILABLE
    if not _of_aws(code):
        # A reply to HEAD has no body and therefore no code; S3's replies are recognised by their request id.
        is_head = error.operation_name.startswith("Head") and "x-amz-request-id" in metadata.get("HTTPHeaders", {})
        return _HEAD.get(status, Fault.UNKNOWN) if is_head else Fault.IN_BETWEEN
    return Fault.UNKNOWN


def _of_aws(code: str) -> bool:
    """Whether the reply has an error code: without one, botocore returns the HTTP status or nothing."""
    return bool(code) and not code.isdigit() and code != "ClientError"


def explain_error(error: BaseException, doing: str) -> str:
    """Return one line: what was being done, the response, and what to do."""
    advice = RULE[classify_error(error)].advice
    return f"{doing}: {error_code(error)}: {error_text(error)}{f' ({advice})' if advice else ''}"


def check_whole(reply: JsonObject, members: frozenset[str]) -> None:
    """Raise UnreadableReply for a "success" without any of the operation's members.

    botocore returns a login page or a missing body as an empty success, which would be read as "no such execution" or
    "no execution is running". `members` are the names of the operation's output.
    """
    if not members or reply.keys() & members:
        return
    headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    kind = headers.get("content-type", "")
    if "html" in kind or not any(name in headers for name in ("x-amzn-requestid", "x-amz-request-id")):
        raise UnreadableReply(f"status 200, {kind or 'no content type'}, none of the expected members")
    announced = int(headers.get("content-length") or 0)
    if announced > len("{}"):
        from botocore.exceptions import IncompleteReadError

        raise IncompleteReadError(actual_bytes=0, expected_bytes=announced)
