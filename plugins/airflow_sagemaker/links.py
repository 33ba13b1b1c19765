"""The buttons on a task instance that lead to SageMaker's pages about its execution.

Operator and sensor keep the URLs in `page_urls`, and push them while the task is still running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from airflow_sagemaker.contract import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey


class PageLink(BaseOperatorLink):
    """A button on a task instance; its URL is in the operator's `page_urls` under `xcom_key`."""

    key: str

    @property
    def xcom_key(self) -> str:
        """The XCom key of the URL."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL; the worker calls this after the task has ended, and stores it."""
        urls: dict[str, str] = getattr(operator, "page_urls", {})
        return urls.get(self.key, "")


class ExecutionLink(PageLink):
    """The button "SageMaker execution"."""

    name = "SageMaker execution"
    key = XCom.EXECUTION_LINK.value


class TrainingJobLink(PageLink):
    """The button "Training job", after the job has ended."""

    name = "Training job"
    key = XCom.TRAINING_JOB_LINK.value


class TrainingLogLink(PageLink):
    """The button "Training log", after the job has ended."""

    name = "Training log"
    key = XCom.TRAINING_LOG_LINK.value


class ModelArtifactLink(PageLink):
    """The button "Model artifact", after the execution has succeeded."""

    name = "Model artifact"
    key = XCom.MODEL_ARTIFACT_LINK.value


LINKS: tuple[PageLink, ...] = (ExecutionLink(), TrainingJobLink(), TrainingLogLink(), ModelArtifactLink())


def push_links(context: Context, urls: dict[str, str]) -> None:
    """Store the URLs while the task is still running; Airflow requests them only after its end."""
    for key, url in urls.items():
        context["ti"].xcom_push(key=key, value=url)
