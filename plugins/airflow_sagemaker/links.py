"""The buttons on a task instance that lead to SageMaker's pages about its execution.

Operator and sensor remember the addresses in `page_urls` and push them while the task still runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from airflow_sagemaker.contract import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey


class PageLink(BaseOperatorLink):
    """A button on a task instance; its address is what the operator remembered under `xcom_key`."""

    key: str

    @property
    def xcom_key(self) -> str:
        """The XCom key of the address."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Called by the worker after the task has ended, and stored."""
        urls: dict[str, str] = getattr(operator, "page_urls", {})
        return urls.get(self.key, "")


class ExecutionLink(PageLink):
    """The button "SageMaker execution"."""

    name = "SageMaker execution"
    key = XCom.EXECUTION_LINK.value


class TrainingJobLink(PageLink):
    """The button "Training job": there once the job has ended."""

    name = "Training job"
    key = XCom.TRAINING_JOB_LINK.value


class TrainingLogLink(PageLink):
    """The button "Training log": there once the job has ended."""

    name = "Training log"
    key = XCom.TRAINING_LOG_LINK.value


class ModelArtifactLink(PageLink):
    """The button "Model artifact": there once the execution has succeeded."""

    name = "Model artifact"
    key = XCom.MODEL_ARTIFACT_LINK.value


LINKS: tuple[PageLink, ...] = (ExecutionLink(), TrainingJobLink(), TrainingLogLink(), ModelArtifactLink())


def push_links(context: Context, urls: dict[str, str]) -> None:
    """Store addresses while the task still runs; Airflow itself asks for them only when it has ended."""
    for key, url in urls.items():
        context["ti"].xcom_push(key=key, value=url)
