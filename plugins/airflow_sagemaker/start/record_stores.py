"""Where a task run's record is stored: in Airflow's task state store if there is one, otherwise on S3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sagemaker import airflow_compat
from airflow_sagemaker.exceptions import MISSING, ConfigurationError, Violation
from airflow_sagemaker.start.record import RecordStore, TaskRun, TaskStateRecordStore
from airflow_sagemaker.start.record_on_s3 import PREFIX, RecordOnS3

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.types import Log

SECTION = "airflow_sagemaker"
"""Section of airflow.cfg with `record_bucket` and `record_prefix`."""


@dataclass(frozen=True)
class PlaceOnS3:
    """Bucket and prefix of the records of an Airflow without a task state store."""

    bucket: str
    prefix: str

    @classmethod
    def configured(cls, bucket_of_connection: str | None) -> PlaceOnS3:
        """Read airflow.cfg and the connection. Raises ConfigurationError without a bucket.

        The configuration's bucket is not used, because a task whose deferral has timed out must find the record without
        its configuration.
        """
        from airflow.sdk.configuration import conf

        bucket = conf.get(SECTION, "record_bucket", fallback="") or bucket_of_connection
        if not bucket:
            rule = "is required, because this Airflow has no task state store for the record of what a task has started"
            hint = f"set it in section [{SECTION}], or service_config.s3.bucket_name in the connection's extra"
            raise ConfigurationError([Violation("record_bucket", MISSING, rule, hint)], what="airflow.cfg")
        return cls(bucket, conf.get(SECTION, "record_prefix", fallback="") or PREFIX)


def record_store(context: Context, target: AwsTarget, log: Log) -> RecordStore:
    """Return the store of this task run's record. Raises ConfigurationError if one on S3 has no bucket."""
    state = airflow_compat.task_state_store(context)
    if state is not None:
        return TaskStateRecordStore(state)
    from airflow.sdk.configuration import conf

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.connections import connection_defaults

    place = PlaceOnS3.configured(connection_defaults(target.aws_conn_id).bucket)
    owner = conf.get("api", "base_url", fallback="")
    return RecordOnS3(Aws(target, log), place.bucket, TaskRun.of(context["ti"]), owner=owner, prefix=place.prefix)
