"""URLs of the pages about an execution, its training job, the job's log and the model artifact.

On AWS, these are pages of the console in the ARN's AWS partition; the local SageMaker has its own pages.
"""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import quote, urlsplit

from airflow_sagemaker.contract import XCom

_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
_AWS_HOSTS = re.compile(r"(^|\.)(amazonaws\.com(\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)$")
"""The suffixes of AWS's endpoints: global, China, and the dual-stack ones of both."""
_LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class Pages(Protocol):
    """URLs of the pages about an execution and its results."""

    def execution(self) -> str:
        """The execution."""
        ...

    def training_job(self, name: str) -> str:
        """A training job."""
        ...

    def training_log(self, name: str) -> str:
        """The log of a training job."""
        ...

    def artifact(self, uri: str, job_name: str) -> str:
        """An object in S3 that the training job wrote."""
        ...

    def model_package(self, arn: str) -> str:
        """A model package."""
        ...


def pages_of(arn: str, endpoint_url: str) -> Pages:
    """Return the pages of an execution; `endpoint_url` is that of the SageMaker client that started it."""
    _, aws_partition, _, region, _, resource = arn.split(":", 5)
    if _AWS_HOSTS.search(urlsplit(endpoint_url).hostname or ""):
        return _Console(f"https://{region}.{_CONSOLES.get(aws_partition, _CONSOLES['aws'])}", region)
    return _LocalPages(endpoint_url.rstrip("/"), resource.rpartition("/")[2])


def page_urls(pages: Pages, job_name: str = "", artifact: str = "") -> dict[str, str]:
    """Return the URLs that are known so far, by the XCom key of their link."""
    urls = {XCom.EXECUTION_LINK.value: pages.execution()}
    if job_name:
        urls[XCom.TRAINING_JOB_LINK.value] = pages.training_job(job_name)
        urls[XCom.TRAINING_LOG_LINK.value] = pages.training_log(job_name)
    if job_name and artifact:
        urls[XCom.MODEL_ARTIFACT_LINK.value] = pages.artifact(artifact, job_name)
    return urls


class _Console:
    """The AWS console of one region."""

    def __init__(self, base: str, region: str) -> None:
        self._base = base
        self._region = region

    def execution(self) -> str:
        """The console shows executions only in a Studio domain, so this is the list of training jobs."""
        return f"{self._base}/sagemaker/home?region={self._region}#/jobs"

    def training_job(self, name: str) -> str:
        return f"{self._base}/sagemaker/home?region={self._region}#/jobs/{quote(name, safe='')}"

    def training_log(self, name: str) -> str:
        """All streams of the job. CloudWatch expects the fragment to be encoded twice, with $ for the second %."""
        group = quote(quote(_LOG_GROUP, safe=""), safe="").replace("%", "$")
        streams = quote(f"?logStreamNameFilter={name}", safe="").replace("%", "$")
        return f"{self._base}/cloudwatch/home?region={self._region}#logsV2:log-groups/log-group/{group}{streams}"

    def artifact(self, uri: str, job_name: str) -> str:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return f"{self._base}/s3/object/{quote(bucket)}?region={self._region}&prefix={quote(key, safe='')}"

    def model_package(self, arn: str) -> str:
        """The console shows model packages only in a Studio domain, so this is the list of domains."""
        return f"{self._base}/sagemaker/home?region={self._region}#/studio"


class _LocalPages:
    """The pages of the local SageMaker; a job's page contains its log and links to its artifact."""

    def __init__(self, endpoint_url: str, execution_id: str) -> None:
        self._base = endpoint_url
        self._execution_id = execution_id

    def execution(self) -> str:
        return f"{self._base}/ui/executions/{quote(self._execution_id)}"

    def training_job(self, name: str) -> str:
        return f"{self._base}/ui/jobs/training/{quote(name, safe='')}"

    def training_log(self, name: str) -> str:
        return f"{self.training_job(name)}#log"

    def artifact(self, uri: str, job_name: str) -> str:
        return self.training_job(job_name)

    def model_package(self, arn: str) -> str:
        group, version = arn.split("/")[-2:]
        return f"{self._base}/ui/packages/{quote(group)}/{quote(version)}"
