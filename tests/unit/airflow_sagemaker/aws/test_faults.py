"""Faults of calls told apart by what they say: by error, and by what botocore makes of answers that no AWS gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError

from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.faults import RULES, Fault, classify_error, error_text, explain_error
from tests.support.fault_proxy import Answer, FaultProxy, aws_error, page


def reply(code: str, message: str = "", status: int = 400, operation: str = "Operation", **headers: str) -> Exception:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": {k.replace("_", "-"): v for k, v in headers.items()}}
    return boto.ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation)


S3 = {"x_amz_request_id": "0123456789ABCDEF"}


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
        (reply("InvalidSignatureException", "The request signature we calculated does not match"), Fault.CREDENTIALS),
        (reply("InvalidSignatureException", "Signature expired: 2026 is now earlier than 2027"), Fault.CLOCK),
        (reply("AccessDeniedException"), Fault.DENIED),
        (reply("ResourceNotFound"), Fault.GONE),
        (reply("ValidationException", "Requested resource not found."), Fault.GONE),
        (reply("ValidationException", 'Could not find model "x".'), Fault.GONE),
        (reply("ValidationException", "Role arn:aws:iam::1:role/x does not exist"), Fault.REFUSED),
        (reply("404", "Not Found", status=404, operation="HeadObject", **S3), Fault.GONE),
        (reply("403", "Forbidden", status=403, operation="HeadObject", **S3), Fault.DENIED),
        (reply("400", "Bad Request", status=400, operation="HeadObject", **S3), Fault.EXPIRED),
        (reply("404", "Not Found", status=404, operation="HeadObject"), Fault.IN_BETWEEN),
        (reply("404", "<html>", status=404, operation="DescribePipelineExecution"), Fault.IN_BETWEEN),
        (reply("ValidationException", "1 validation error detected"), Fault.REFUSED),
        (reply("SomethingNewException"), Fault.UNKNOWN),
        (boto.NoCredentialsError(), Fault.CREDENTIALS),
        (boto.EndpointConnectionError(endpoint_url="http://x"), Fault.UNAVAILABLE),
        (boto.ReadTimeoutError(endpoint_url="http://x"), Fault.UNAVAILABLE),
        (boto.ConnectionClosedError(endpoint_url="http://x"), Fault.UNAVAILABLE),
        (boto.ProxyConnectionError(proxy_url="http://x"), Fault.IN_BETWEEN),
        (boto.SSLError(endpoint_url="https://x", error="self-signed certificate"), Fault.IN_BETWEEN),
        (ResponseParserError("<html>"), Fault.IN_BETWEEN),
        (boto.ParamValidationError(report="x"), Fault.REFUSED),
        (KeyError("x"), Fault.UNKNOWN),
    ],
)
def test_faults_are_told_apart(error: Exception, fault: Fault) -> None:
    assert classify_error(error) is fault


class Here(AwsTarget):
    """Clients of the address `url`."""

    url = ""

    def client(self, service: str) -> Any:
        """A client without retries."""
        return boto3.Session().client(
            service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )  # fmt: skip


@pytest.fixture(scope="module")
def proxied() -> Iterator[tuple[FaultProxy, Aws]]:
    """A proxy with nothing behind it, and calls through it."""
    with FaultProxy("http://127.0.0.1:1") as proxy:
        target = Here()
        object.__setattr__(target, "url", proxy.url)
        yield proxy, Aws(target, patience=0)


ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abcdefghijkl"
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "StartPipelineExecution": ("sagemaker", "start_pipeline_execution", {"PipelineName": "p"}),
    "DescribePipelineExecution": ("sagemaker", "describe_pipeline_execution", {"PipelineExecutionArn": ARN}),
    "ListPipelineExecutions": ("sagemaker", "list_pipeline_executions", {"PipelineName": "p"}),
    "StopPipelineExecution": ("sagemaker", "stop_pipeline_execution", {"PipelineExecutionArn": ARN}),
    "HeadObject": ("s3", "head_object", {"Bucket": "bucket", "Key": "k"}),
    "GetObject": ("s3", "get_object", {"Bucket": "bucket", "Key": "k"}),
    "PutObject": ("s3", "put_object", {"Bucket": "bucket", "Key": "k", "Body": b""}),
    "ListObjectsV2": ("s3", "list_objects_v2", {"Bucket": "bucket"}),
}
IN_BETWEEN = ("html403", "html404", "html407", "html408", "html413", "latin1", "json404", "empty404", "redirect")


@pytest.mark.parametrize("name", IN_BETWEEN)
@pytest.mark.parametrize("operation", CALLS)
def test_what_a_proxy_answers_is_taken_for_nothing_else(
    proxied: tuple[FaultProxy, Aws], operation: str, name: str
) -> None:
    proxy, aws = proxied
    service, method, arguments = CALLS[operation]
    if (service, name) == ("s3", "redirect"):
        pytest.skip("botocore follows S3's redirects itself")
    proxy.inject(operation, name)
    with pytest.raises(Exception) as raised:
        aws.once(service, method, **arguments)
    assert classify_error(raised.value) is Fault.IN_BETWEEN
    assert "\n" not in explain_error(raised.value, "asking")
    proxy.clear()


@pytest.mark.parametrize("name", ["login", "json200"])
@pytest.mark.parametrize("operation", ["StartPipelineExecution", "DescribePipelineExecution", "ListPipelineExecutions"])
def test_a_success_that_is_no_answer_of_aws_is_not_an_empty_one(
    proxied: tuple[FaultProxy, Aws], operation: str, name: str
) -> None:
    proxy, aws = proxied
    proxy.inject(operation, name)
    service, method, arguments = CALLS[operation]
    with pytest.raises(Exception) as raised:
        aws.once(service, method, **arguments)
    assert classify_error(raised.value) in {Fault.IN_BETWEEN, Fault.UNAVAILABLE}
    proxy.clear()


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateways_page_is_unavailable(proxied: tuple[FaultProxy, Aws], status: int) -> None:
    proxy, aws = proxied
    proxy.inject("DescribePipelineExecution", page(status, "Bad Gateway"))
    service, method, arguments = CALLS["DescribePipelineExecution"]
    with pytest.raises(Exception) as raised:
        aws.once(service, method, **arguments)
    assert classify_error(raised.value) is Fault.UNAVAILABLE
    proxy.clear()


def test_an_empty_list_of_aws_is_an_empty_list(proxied: tuple[FaultProxy, Aws]) -> None:
    proxy, aws = proxied
    headers = {"x-amzn-RequestId": "00000000-0000-0000-0000-000000000000"}
    for body in (b'{"PipelineExecutionSummaries": []}', b"{}"):
        proxy.inject("ListPipelineExecutions", Answer(200, body, headers=headers))
        assert not aws.once("sagemaker", "list_pipeline_executions", PipelineName="p").get("PipelineExecutionSummaries")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.fault.value)
def test_each_code_of_the_table_is_known_as_sagemaker_sends_it(proxied: tuple[FaultProxy, Aws], rule: Any) -> None:
    proxy, aws = proxied
    service, method, arguments = CALLS["DescribePipelineExecution"]
    for code in rule.codes:
        proxy.inject("DescribePipelineExecution", aws_error(code, "as it is"))
        with pytest.raises(boto.ClientError) as raised:
            aws.once(service, method, **arguments)
        assert classify_error(raised.value) is rule.fault


def test_an_explanation_says_what_to_do() -> None:
    text = explain_error(reply("ResourceLimitExceeded", "0 Instances"), "starting pipeline 'p'")
    assert "starting pipeline 'p'" in text
    assert "0 Instances" in text
    assert "Service Quotas" in text


def test_a_page_of_html_is_told_by_its_title() -> None:
    error = reply("407", "<html><head>\n<title>ERROR: Cache\nAccess Denied</title></head><body>long</body></html>", 407)
    assert error_text(error) == "a page of HTML: ERROR: Cache Access Denied"


def test_a_body_that_is_not_of_aws_is_told_by_its_status() -> None:
    """What S3's GetObject raises for the 407 of tinyproxy: botocore finds neither a code nor a message in its page."""
    error = reply("", "", 407, "GetObject")
    assert classify_error(error) is Fault.IN_BETWEEN
    assert explain_error(error, "reading").startswith("reading: 407: a response that is not of AWS (something between")
