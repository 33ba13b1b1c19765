"""Where the buttons lead: the console of the ARN's AWS partition and region, or the pages of the local SageMaker."""

from __future__ import annotations

import pytest

from airflow_sagemaker.aws.console_links import pages_of

JOB = "pipelines-abc-Train-1"
ARN = "arn:{}:sagemaker:{}:123456789012:pipeline/flights/execution/abcdefghijkl"

CONSOLES = [
    ("aws", "eu-west-1", "https://api.sagemaker.eu-west-1.amazonaws.com", "https://eu-west-1.console.aws.amazon.com"),
    ("aws", "eu-west-1", "https://sagemaker.eu-west-1.api.aws", "https://eu-west-1.console.aws.amazon.com"),
    (
        "aws-cn", "cn-north-1", "https://api.sagemaker.cn-north-1.amazonaws.com.cn",
        "https://cn-north-1.console.amazonaws.cn",
    ),
    (
        "aws-us-gov", "us-gov-west-1", "https://api-fips.sagemaker.us-gov-west-1.amazonaws.com",
        "https://us-gov-west-1.console.amazonaws-us-gov.com",
    ),
    (
        "aws", "us-east-1", "https://vpce-0a1b-2c3d.api.sagemaker.us-east-1.vpce.amazonaws.com",
        "https://us-east-1.console.aws.amazon.com",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("partition", "region", "endpoint", "console"), CONSOLES)
def test_on_aws_every_page_is_in_the_consoles_partition_and_region(
    partition: str, region: str, endpoint: str, console: str
) -> None:
    pages = pages_of(ARN.format(partition, region), endpoint)
    assert pages.execution() == f"{console}/sagemaker/home?region={region}#/jobs"
    assert pages.training_job(JOB) == f"{console}/sagemaker/home?region={region}#/jobs/{JOB}"
    assert pages.training_log(JOB) == (
        f"{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/$252Faws$252Fsagemaker$252FTrainingJobs"
        f"$3FlogStreamNameFilter$3D{JOB}"
    )
    assert pages.artifact("s3://my-bucket/out put/a=1/model.tar.gz", JOB) == (
        f"{console}/s3/object/my-bucket?region={region}&prefix=out%20put%2Fa%3D1%2Fmodel.tar.gz"
    )
    assert pages.model_package("arn/customers/7") == f"{console}/sagemaker/home?region={region}#/studio"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:5123", "http://sagemaker:8080/", "https://amazonaws.com.example.org"]
)
def test_elsewhere_they_are_the_servers_own(endpoint: str) -> None:
    pages = pages_of(ARN.format("aws", "us-east-1"), endpoint)
    base = endpoint.rstrip("/")
    assert pages.execution() == f"{base}/ui/executions/abcdefghijkl"
    assert pages.training_job(JOB) == f"{base}/ui/jobs/training/{JOB}"
    assert pages.training_log(JOB) == f"{base}/ui/jobs/training/{JOB}#log"
    assert pages.model_package("arn:x:model-package/customers/7") == f"{base}/ui/packages/customers/7"
    assert pages.artifact("s3://b/k", JOB).startswith(f"{base}/ui/jobs/training/{JOB}")
