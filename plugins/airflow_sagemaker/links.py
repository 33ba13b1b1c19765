"""Where a person can look at an execution: the AWS console, or the page of the local server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def execution_url(arn: str, endpoint_url: str) -> str:
    """The page of one execution; `endpoint_url` is that of the SageMaker client that started it.

    The console has no page of a pipeline execution outside a Studio domain, so on AWS it is the list of the pipeline's
    training jobs.
    """
    _, aws_partition, _, region, _, resource = arn.split(":", 5)
    if "amazonaws" not in endpoint_url:
        return f"{endpoint_url.rstrip('/')}/ui/executions/{quote(resource.rpartition('/')[2])}"
    console = _CONSOLES.get(aws_partition, _CONSOLES["aws"])
    return f"https://{region}.{console}/sagemaker/home?region={region}#/jobs"


class ExecutionLink(BaseOperatorLink):
    """The button "SageMaker execution" on a task instance."""

    name = "SageMaker execution"

    @property
    def xcom_key(self) -> str:
        """Where the URL lies; the operator pushes it as soon as the execution is known, so it works while it runs."""
        return "_link_sagemaker_execution"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Called by the worker after the task has ended; the operator keeps the URL."""
        return str(getattr(operator, "execution_url", "") or "")

    def push(self, context: Any, url: str) -> None:
        """Store the URL while the task still runs."""
        context["ti"].xcom_push(key=self.xcom_key, value=url)
