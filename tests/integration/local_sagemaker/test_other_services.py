"""STS, IAM and CodeArtifact: what the SDK and the provider ask beside SageMaker."""

from __future__ import annotations

import http.client
import re
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from .conftest import ROLE


def test_identity_and_role(local_sagemaker: Any) -> None:
    assert local_sagemaker.client("sts").get_caller_identity()["Account"] == "123456789012"
    iam = local_sagemaker.client("iam")
    assert iam.get_role(RoleName="LocalSageMakerRole")["Role"]["Arn"] == ROLE
    answer = iam.simulate_principal_policy(PolicySourceArn=ROLE, ActionNames=["s3:GetObject", "sagemaker:<x>"])
    found = [(item["EvalActionName"], item["EvalDecision"]) for item in answer["EvaluationResults"]]
    assert found == [("s3:GetObject", "allowed"), ("sagemaker:<x>", "allowed")]


def test_role_can_be_assumed(local_sagemaker: Any) -> None:
    answer = local_sagemaker.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="session")
    assert answer["AssumedRoleUser"]["Arn"].endswith("assumed-role/LocalSageMakerRole/session")
    keys = answer["Credentials"]
    assumed = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], "us-east-1")
    s3 = assumed.client("s3", endpoint_url=local_sagemaker.env["AWS_ENDPOINT_URL_S3"])
    s3.create_bucket(Bucket="by-assumed-role")
    sagemaker = assumed.client("sagemaker", endpoint_url=local_sagemaker.endpoint_url)
    assert "PipelineSummaries" in sagemaker.list_pipelines()


def test_codeartifact_leads_to_the_index_of_this_machine(local_sagemaker: Any) -> None:
    client = local_sagemaker.client("codeartifact")
    assert client.get_authorization_token(domain="flights", domainOwner="123456789012")["authorizationToken"]
    endpoint = client.get_repository_endpoint(domain="flights", repository="pypi", format="pypi")["repositoryEndpoint"]
    base = local_sagemaker.endpoint_url
    assert re.fullmatch(rf"{base}/codeartifact/[0-9a-f]{{32}}/flights/pypi/", endpoint)
    path = f"{endpoint.removeprefix(base)}simple/polars/"
    secret = path.split("/")[2]
    for asked, status in ((path, 302), (path.replace(secret, "0" * 32), 404)):
        connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)
        connection.request("GET", asked)
        answer = connection.getresponse()
        assert answer.status == status
        assert str(answer.headers.get("Location", "/polars/")).endswith("/polars/")
        connection.close()


@pytest.mark.parametrize(
    ("service", "call"), [("codeartifact", "list_domains"), ("dynamodb", "list_tables"), ("s3", "list_buckets")]
)
def test_what_is_not_here_is_refused_by_name(local_sagemaker: Any, service: str, call: str) -> None:
    session = boto3.Session(
        local_sagemaker.env["AWS_ACCESS_KEY_ID"], local_sagemaker.env["AWS_SECRET_ACCESS_KEY"], None, "us-east-1"
    )
    stray = session.client(service, endpoint_url=local_sagemaker.endpoint_url)
    with pytest.raises(ClientError, match=r"not supported|AWS_ENDPOINT_URL_S3"):
        getattr(stray, call)()
