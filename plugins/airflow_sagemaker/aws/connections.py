"""From Airflow connections to AWS clients, and a connection's defaults for this package.

A connection has endpoint, credentials, region, bucket and execution role, so that it moves a DAG between the local
SageMaker and AWS. boto3 is imported when the first client is created.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sagemaker.aws import model_overlay

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from airflow_sagemaker.types import BotoClient, BotoSession, JsonObject

_LOCKS: dict[str, threading.Lock] = {}
"""One lock per target's key, so that a connection with a slow role or endpoint does not block the others."""
_HOOKS: dict[str, AwsGenericHook[BotoClient]] = {}
"""The amazon provider's hook with its connection, by target's key."""
_SESSIONS: dict[str, tuple[AwsGenericHook[BotoClient], BotoSession]] = {}
"""(hook, boto3 session) by target's key."""


@dataclass(frozen=True)
class ConnectionDefaults:
    """A connection's settings other than credentials; each may be None."""

    bucket: str | None = None
    """`service_config.s3.bucket_name` in the extra, the amazon provider's convention."""
    role_arn: str | None = None
    """`service_config.sagemaker.execution_role_arn` in the extra: the role that jobs assume."""
    region: str | None = None
    """`region_name` in the extra."""
    profile: str | None = None
    """`profile_name` in the extra: a profile of AWS's shared configuration file, such as one of IAM Identity Center."""

    def region_of_boto3(self) -> str | None:
        """Return the region of AWS_DEFAULT_REGION, the profile or the shared configuration file; None without one."""
        from botocore.session import Session

        region: str | None = Session(profile=self.profile).get_config_variable("region")
        return region


def connection_defaults(aws_conn_id: str | None = "aws_default") -> ConnectionDefaults:
    """Read bucket, execution role and region from the extra of an Airflow connection.

    A connection that does not exist has no defaults, and boto3's credentials are used. Raises ValueError for a
    `service_config` that is not an object.
    """
    if not aws_conn_id:
        return ConnectionDefaults()
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        extra = BaseHook.get_connection(aws_conn_id).extra_dejson
    except AirflowNotFoundException:
        return ConnectionDefaults()
    services = extra.get("service_config") or {}
    if not isinstance(services, dict):
        raise ValueError(f"connection {aws_conn_id!r}: service_config must be an object, found {services!r}")
    return ConnectionDefaults(
        bucket=(services.get("s3") or {}).get("bucket_name"),
        role_arn=(services.get("sagemaker") or {}).get("execution_role_arn"),
        region=extra.get("region_name"),
        profile=extra.get("profile_name"),
    )


@dataclass(frozen=True)
class AwsTarget:
    """What a client depends on: connection, region, certificate check and botocore configuration.

    It can be passed from operator or sensor to the trigger (`as_dict`, `key`).
    """

    aws_conn_id: str | None = "aws_default"
    region_name: str | None = None
    verify: bool | str | None = None
    botocore_config: JsonObject | None = field(default=None, hash=False)

    def as_dict(self) -> JsonObject:
        """Return the arguments of the constructor, as JSON."""
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }

    def key(self) -> str:
        """Return a key that equal targets share: triggers with the same key share one poller."""
        return json.dumps(self.as_dict(), sort_keys=True, default=str)

    def client(self, service: str) -> BotoClient:
        """Return a new boto3 client of a session that equal targets share in this process until `forget`.

        botocore's silent retries are off unless the connection or `botocore_config` sets them: `aws.Aws` retries.
        """
        from botocore.config import Config

        key = self.key()
        with _LOCKS.setdefault(key, threading.Lock()):  # boto3 sessions are not thread-safe, their clients are
            opened = _SESSIONS.get(key)
            if opened is None:
                self.prepare()
                opened = _SESSIONS[key] = self._open(_HOOKS[key])
            hook, session = opened
            config = hook.config
            if not getattr(config, "retries", None):
                config = config.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
            return session.client(
                service,
                endpoint_url=hook.conn_config.get_service_endpoint_url(service),
                config=config,
                verify=hook.verify,
            )

    @property
    def prepared(self) -> bool:
        """Whether `client` can be called without requesting the connection from Airflow."""
        return self.key() in _HOOKS

    def prepare(self) -> None:
        """Read the connection. `client` does what is slow, such as assuming a role."""
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

        if self.prepared:
            return
        hook: AwsGenericHook[BotoClient] = AwsGenericHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            client_type="sagemaker",
            config=self.botocore_config,
        )
        _ = hook.conn_config  # cached by the hook
        _HOOKS[self.key()] = hook

    def forget(self) -> None:
        """Reload connection and credentials for the next client.

        It does not take the lock, which may be held for a long time: a triggerer calls this in its event loop.
        """
        _HOOKS.pop(self.key(), None)
        _SESSIONS.pop(self.key(), None)

    def _open(self, hook: AwsGenericHook[BotoClient]) -> tuple[AwsGenericHook[BotoClient], BotoSession]:
        """Return the connection's session. A second client of a session takes a tenth of the first one's time."""
        return hook, model_overlay.add_overlay(hook.get_session(region_name=self.region_name or hook.region_name))
