"""The task that checks a partition's data before a training is paid for."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # noqa: F401 - rejects an old Airflow

# isort: split
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_sagemaker.contract import XCom
from airflow_sagemaker.exceptions import ConfigurationError, TableError
from airflow_sagemaker.start.rendering import render_settings, render_text
from airflow_sagemaker.start.run_config import RUN_PARTITION, build_config, check_when_parsed, given_data, plain_config
from airflow_sagemaker.types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.config.base import BasePipelineConfig


class SageMakerTableCheckOperator(BaseOperator):
    """Check a partition's train, val and test in seconds, without a job; a failing check fails the task.

    Reads the Parquet footers, the label and the id column, and the first rows of a few row groups of train. Needs
    pyarrow (the extra `table`) in the worker.

    :param config: as for `SageMakerTrainingPipelineOperator`.
    :param partition: the date or key to check; the default is the run's.
    :param aws_conn_id: the Airflow connection; None uses boto3's default credentials and region.
    :param region_name: the AWS region; default: the configuration's, the connection's, or boto3's.
    :param compare: also compare with the previous partition: rows, missing values, label, units, drift.
    :param limits: how much it may differ from the previous partition: `row_ratio` (2), `null_share_rise` (0.2),
        `label_share_change` (0.1), `value_ratio` (100), `drift` (0). A value with limit 0 is only reported.

    XCom: `data_checks`, the findings, which the training report shows.
    """

    template_fields: Sequence[str] = ("config", "partition", "aws_conn_id", "region_name", "limits")
    template_fields_renderers = {"config": "json", "limits": "json"}  # noqa: RUF012 - Airflow's own convention
    ui_color = "#e0ecf8"

    def __init__(
        self,
        *,
        config: BasePipelineConfig | JsonMapping | str | os.PathLike[str],
        partition: str = RUN_PARTITION,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        compare: bool = True,
        limits: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = plain_config(config)
        self.partition = partition
        self._partition_is_given = partition != RUN_PARTITION
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.compare = compare
        self.limits = limits
        check_when_parsed(self.config, self.get_dag())

    def render_template(self, content: object, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Render a template; under native rendering, partitions and other strings stay strings."""

        def render(value: object) -> Any:
            return super(SageMakerTableCheckOperator, self).render_template(value, context, *args, **kwargs)

        if content is self.partition:
            return render_text(content, render)
        if content is self.config and isinstance(content, Mapping):
            return render_settings(content, render)
        return render(content)

    def execute(self, context: Context) -> str:
        """Check the partition; return its input path."""
        from airflow_sagemaker.aws.client import Aws
        from airflow_sagemaker.aws.connections import AwsTarget
        from airflow_sagemaker.table.comparison import Limits
        from airflow_sagemaker.table.fields import fields_of
        from airflow_sagemaker.table.findings import as_data, require_sound
        from airflow_sagemaker.table.partition_check import check_partition

        try:
            config = self._build_config(context)
            limits = Limits.of(self.limits)
            config.require(["input_path"])
            path = str(getattr(config, "input_path", None))
            aws = Aws(AwsTarget(self.aws_conn_id, config.region), self.log)
            findings = check_partition(aws, path, fields_of(config), limits, compare_with_last=self.compare)
            context["ti"].xcom_push(key=XCom.DATA_CHECKS.value, value=as_data(findings))
            require_sound(findings, path)
        except (ConfigurationError, TableError) as error:
            raise AirflowFailException(str(error)) from None
        for finding in findings:
            self.log.info("%s", finding.line)
        self.log.info("%s: %d data checks passed", path, len(findings))
        return path

    def _build_config(self, context: Context) -> BasePipelineConfig:
        def render(settings: JsonObject, of: Context) -> JsonObject:
            return render_settings(settings, lambda value: self.render_template(value, of))

        return build_config(
            given_data(self.config, context, render),
            context,
            partition=self.partition,
            partition_is_given=self._partition_is_given,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
        )
