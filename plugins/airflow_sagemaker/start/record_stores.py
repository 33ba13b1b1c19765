"""Which store a task run's record is in: Airflow's own where it has one, else an object on S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sagemaker import airflow_compat
from airflow_sagemaker.exceptions import MISSING, ConfigurationError, Violation
from airflow_sagemaker.start.record import RecordStore, TaskRun, TaskStateRecordStore

if TYPE_CHECKING:
    from airflow_sagemaker.aws.connections import AwsTarget

SECTION = "airflow_sagemaker"
"""Of airflow.cfg, with `record_bucket` and `record_prefix`."""


def record_store(context: Any, target: AwsTarget, log: Any) -> RecordStore:
    """The store of this task run's record. Raises ConfigurationError where one on S3 has no bucket.

    The bucket is a setting or the connection's, never the configuration's: a task whose deferral has timed out must
    find the record without its configuration.
    """
    state = airflow_compat.task_state_store(context)
    if state is not None:
        return TaskStateRecordStore(state)
    from airflow.sdk.configuration import conf

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.connections import connection_defaults
    from airflow_sagemaker.start.record_on_s3 import PREFIX, RecordOnS3

    bucket = conf.get(SECTION, "record_bucket", fallback="") or connection_defaults(target.aws_conn_id).bucket
    if not bucket:
        rule = "is needed, because this Airflow has no task state store for the record of what a task has started"
        hint = f"set it in section [{SECTION}], or service_config.s3.bucket_name in the connection's extra"
        raise ConfigurationError([Violation("record_bucket", MISSING, rule, hint)], what="airflow.cfg")
    return RecordOnS3(
        Aws(target, log),
        bucket,
        TaskRun.of(context["ti"]),
        owner=conf.get("api", "base_url", fallback=""),
        prefix=conf.get(SECTION, "record_prefix", fallback="") or PREFIX,
    )
