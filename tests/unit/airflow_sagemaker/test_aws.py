"""Faults of AWS calls told apart."""

from __future__ import annotations

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from airflow_sagemaker.aws.faults import Fault, classify, explain


def reply(code: str, message: str = "", status: int = 400) -> boto.ClientError:
    return boto.ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Operation"
    )


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (reply("ThrottlingException"), Fault.THROTTLED),
        (reply("WhoKnows", status=429), Fault.THROTTLED),
        (reply("InternalFailure", status=500), Fault.UNAVAILABLE),
        (reply("WhoKnows", status=503), Fault.UNAVAILABLE),
        (reply("ConflictException"), Fault.CONFLICT),
        (reply("ValidationException", "Pipeline with name (x) already exists."), Fault.CONFLICT),
        (
            reply("ValidationException", "Pipeline names must be unique within an AWS account and Region."),
            Fault.CONFLICT,
        ),
        (reply("ResourceLimitExceeded"), Fault.QUOTA),
        (reply("ExpiredTokenException"), Fault.EXPIRED),
        (reply("UnrecognizedClientException"), Fault.CREDENTIALS),
        (reply("AccessDeniedException"), Fault.DENIED),
        (reply("ResourceNotFound"), Fault.GONE),
        (reply("ValidationException", "Requested resource not found."), Fault.GONE),
        (reply("404", "Not Found", status=404), Fault.GONE),
        (reply("ValidationException", "1 validation error detected"), Fault.REFUSED),
        (boto.NoCredentialsError(), Fault.CREDENTIALS),
        (boto.EndpointConnectionError(endpoint_url="http://x"), Fault.UNAVAILABLE),
        (boto.ReadTimeoutError(endpoint_url="http://x"), Fault.UNAVAILABLE),
        (boto.ConnectionClosedError(endpoint_url="http://x"), Fault.UNAVAILABLE),
        (ResponseParserError("<html>"), Fault.UNAVAILABLE),
        (boto.ParamValidationError(report="x"), Fault.REFUSED),
        (KeyError("x"), Fault.UNKNOWN),
    ],
)
def test_faults_are_told_apart(error: Exception, fault: Fault) -> None:
    assert classify(error) is fault


def test_an_explanation_says_what_to_do() -> None:
    text = explain(reply("ResourceLimitExceeded", "0 Instances"), "starting pipeline 'p'")
    assert "starting pipeline 'p'" in text
    assert "0 Instances" in text
    assert "Service Quotas" in text
