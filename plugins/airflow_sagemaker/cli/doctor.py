"""`doctor`: checks everything that a training needs, with advice if something is missing or wrong.

Permissions are tested by the calls themselves, with names and conditions under which they cannot change anything: a
start of a version that does not exist, a stop of an execution that does not exist, a conditional write to an object
that does not exist. AWS responds with "not found" to callers that have the permission, "access denied" to others.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from airflow_sagemaker import __version__, airflow_compat
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget, connection_defaults
from airflow_sagemaker.aws.faults import RULE, Fault, classify_error, error_code, error_text
from airflow_sagemaker.cli.dag_folder import find_configurations
from airflow_sagemaker.cli.online import EnvironmentTarget, open_airflow
from airflow_sagemaker.config import container_images as images
from airflow_sagemaker.definition.child_process import default_python
from airflow_sagemaker.definition.compiler import subject_of
from airflow_sagemaker.definition.disk_cache import sdk_versions
from airflow_sagemaker.definition.published import COMMAND, Publications
from airflow_sagemaker.exceptions import AirflowSageMakerError, ConfigurationError, SdkNotAvailable
from airflow_sagemaker.start.record_stores import PlaceOnS3
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    import argparse

    from airflow_sagemaker.aws.responses import QuotaPage, Response
    from airflow_sagemaker.cli.output import Output
    from airflow_sagemaker.config.base import BasePipelineConfig, Compute

OK, WARNING, BAD, SKIPPED = "ok", "warning", "bad", "skipped"
NOTHING = "airflow-sagemaker-doctor"
"""Part of the names of resources that do not exist."""
PERMITTED = frozenset({Fault.GONE, Fault.REFUSED, Fault.CONFLICT})
"""Errors that AWS returns only to callers that have the permission."""


@dataclass(frozen=True)
class Finding:
    """What was checked, the result, and what to do if it is not OK."""

    name: str
    state: str
    text: str
    advice: str = ""

    def line(self) -> str:
        """The finding as text."""
        marks = {OK: "ok  ", WARNING: "warn", BAD: "BAD ", SKIPPED: "-   "}
        return f"{marks[self.state]}  {self.name}: {self.text}" + (f". {self.advice}" if self.advice else "")


def doctor(arguments: argparse.Namespace, output: Output) -> int:
    """Print the findings; exit code 1 if one is bad."""
    [found] = find_configurations(arguments)
    examination = Examination(arguments, found.config, output)
    findings = []
    for finding in examination.findings():
        findings.append(finding)
        if not output.json_only:
            output.result({}, finding.line())
    bad = [finding for finding in findings if finding.state == BAD]
    if output.json_only:
        output.result({"ok": not bad, "findings": [vars(finding) for finding in findings]})
    return 1 if bad else 0


class Examination:
    """The checks of a configuration, with the connection that its tasks would use."""

    def __init__(self, arguments: argparse.Namespace, config: BasePipelineConfig, output: Output) -> None:
        self.arguments = arguments
        conn_id = arguments.aws_conn_id
        if conn_id:
            given = connection_defaults(conn_id)
            config = config.completed(bucket=given.bucket, role_arn=given.role_arn, region=given.region)
        self.config = config
        target: AwsTarget = (
            AwsTarget(conn_id, config.region) if conn_id else EnvironmentTarget(None, region_name=config.region)
        )
        self.aws = Aws(target, output, patience=arguments.patience)
        self.bucket = config.code_bucket or ""

    def findings(self) -> Iterator[Finding]:
        """Yield all findings, in the order of their dependencies."""
        yield self._versions()
        yield self._region()
        identity = self._identity()
        yield identity
        if identity.state == OK:
            yield self._bucket_is_there()
            yield from self._permissions()
            yield from self._record()
            yield self._execution_role()
        yield self._definition(reachable=identity.state == OK)
        yield self._image()
        if identity.state == OK:
            yield from map(self._quota, self.config.compute())
        yield from self._airflow()

    def _versions(self) -> Finding:
        airflow = airflow_compat.installed_airflow_version()
        found = {"airflow-sagemaker": __version__, "Python": sys.version.split()[0], "Airflow": airflow or "none"}
        for name in ("apache-airflow-providers-amazon", "boto3"):
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "none"
        return Finding("versions", OK, ", ".join(f"{name} {number}" for name, number in found.items()))

    def _region(self) -> Finding:
        region = self.config.region
        if region is None:
            advice = "Set region in the configuration, region_name in the connection, or AWS_DEFAULT_REGION"
            return Finding("region", BAD, "not set", advice)
        problem = "" if self.config.own_image else images.region_problem(region, self.config.framework_version)
        return Finding("region", BAD if problem else OK, f"{region}; {problem}" if problem else region)

    def _identity(self) -> Finding:
        where = f"connection {self.arguments.aws_conn_id}" if self.arguments.aws_conn_id else "boto3's own credentials"
        answer = self._ask("sts", "get_caller_identity")
        if isinstance(answer, Exception):
            return self._fault("identity", answer, f"{where}: ")
        return Finding("identity", OK, f"{where}: {answer['Arn']}")

    def _bucket_is_there(self) -> Finding:
        if not self.bucket:
            advice = "Set bucket in the configuration, or service_config.s3.bucket_name in the connection's extra"
            return Finding("bucket", BAD, "not set", advice)
        answer = self._ask("s3", "head_bucket", Bucket=self.bucket)
        if isinstance(answer, Exception):
            return self._fault("bucket", answer, f"{self.bucket}: ")
        region = answer.get("BucketRegion") or self.config.region
        if region != self.config.region:
            advice = "SageMaker reads its channels from a bucket in its own region"
            return Finding(
                "bucket", BAD, f"{self.bucket} is in {region}, and the jobs are in {self.config.region}", advice
            )
        return Finding("bucket", OK, f"{self.bucket} in {region}")

    def _permissions(self) -> Iterator[Finding]:
        """Check the permissions in docs/iam/airflow-start-role.json, and one that only a role that deploys has."""
        name, token = self.config.pipeline_name, f"{NOTHING}-{'0' * 32}"
        version = {"PipelineName": name, "PipelineVersionAlias": NOTHING}
        execution = {"PipelineExecutionArn": self._execution_arn(name)}
        once = {"ClientRequestToken": token}
        published = {"Bucket": self.bucket, "Key": f"{name}/published/{NOTHING}.json"}
        group = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
        calls: list[tuple[str, str, JsonObject]] = [
            ("sagemaker:DescribePipeline", "describe_pipeline", version),
            ("sagemaker:StartPipelineExecution", "start_pipeline_execution", {**version, **once}),
            ("sagemaker:DescribePipelineExecution", "describe_pipeline_execution", execution),
            ("sagemaker:StopPipelineExecution", "stop_pipeline_execution", {**execution, **once}),
            ("sagemaker:RetryPipelineExecution", "retry_pipeline_execution", {**execution, **once}),
            ("sagemaker:ListPipelineExecutions", "list_pipeline_executions", {"PipelineName": name}),
            ("sagemaker:ListPipelineExecutionSteps", "list_pipeline_execution_steps", execution),
            ("sagemaker:ListPipelineParametersForExecution", "list_pipeline_parameters_for_execution", execution),
            ("sagemaker:DescribePipelineDefinitionForExecution", "describe_pipeline_definition_for_execution",
             execution),
            ("sagemaker:DescribeTrainingJob", "describe_training_job", {"TrainingJobName": NOTHING}),
            ("sagemaker:DescribeProcessingJob", "describe_processing_job", {"ProcessingJobName": NOTHING}),
            ("s3:ListBucket and s3:GetObject", "get_object", published),
            ("logs:DescribeLogStreams", "describe_log_streams", {**group, "limit": 1}),
            ("logs:GetLogEvents", "get_log_events", {**group, "logStreamName": NOTHING}),
        ]  # fmt: skip
        for permission, operation, given in calls:
            yield self._tried(f"permission {permission}", permission.partition(":")[0], operation, **given)
        deploying = self._writing("permission s3:PutObject on code/", self.bucket, f"{name}/code")
        if deploying.state == BAD:
            advice = f"An Airflow that only starts does not need it: {COMMAND} elsewhere"
            deploying = Finding(deploying.name, WARNING, deploying.text, advice)
        yield deploying

    def _record(self) -> Iterator[Finding]:
        """Check the store of records of the installed Airflow; yields nothing without Airflow."""
        if airflow_compat.installed_airflow_version() is None:
            return
        if airflow_compat.has_task_state_store():
            yield Finding("record", OK, "Airflow's task state store")
            return
        conn_id = self.arguments.aws_conn_id
        try:
            place = PlaceOnS3.configured(connection_defaults(conn_id).bucket if conn_id else self.bucket)
        except ConfigurationError as error:
            yield Finding("record", BAD, " ".join(str(error).split()))
            return
        writing = self._writing("record", place.bucket, place.prefix)
        text = f"s3://{place.bucket}/{place.prefix}: " + ("can be written" if writing.state == OK else writing.text)
        yield Finding("record", writing.state, text, writing.advice)

    def _writing(self, name: str, bucket: str, prefix: str) -> Finding:
        """Check s3:PutObject, with a condition that no object meets."""
        write = {"Bucket": bucket, "Key": f"{prefix}/{NOTHING}", "Body": b"", "IfMatch": '"0"'}
        return self._tried(name, "s3", "put_object", **write)

    def _tried(self, name: str, service: str, operation: str, **given: object) -> Finding:
        """Check a permission with a call that changes nothing."""
        answer = self._ask(service, operation, **given)
        if not isinstance(answer, Exception) or classify_error(answer) in PERMITTED:
            return Finding(name, OK, "yes")
        if error_code(answer) in {"PreconditionFailed", "412"}:
            return Finding(name, OK, "yes")
        if classify_error(answer) is Fault.DENIED:
            return Finding(name, BAD, error_text(answer), "See docs/iam/README.md")
        return Finding(name, WARNING, f"unknown: {error_code(answer)}: {error_text(answer)}")

    def _execution_role(self) -> Finding:
        role, name = self.config.role_arn, "execution role"
        if role is None:
            advice = "Set role_arn, or service_config.sagemaker.execution_role_arn in the connection's extra"
            return Finding(name, BAD, "not set", advice)
        objects = f"arn:aws:s3:::{self.bucket}/{self.config.pipeline_name}/*"
        answer = self._ask(
            "iam", "simulate_principal_policy",
            PolicySourceArn=role, ActionNames=["s3:GetObject", "s3:PutObject"], ResourceArns=[objects],
        )  # fmt: skip
        if isinstance(answer, Exception):
            advice = "Checking it requires iam:SimulatePrincipalPolicy; its policies are in docs/iam"
            return Finding(name, SKIPPED, f"{role}: not checked ({error_code(answer)})", advice)
        missing = [r["EvalActionName"] for r in answer["EvaluationResults"] if r["EvalDecision"] != "allowed"]
        if missing:
            return Finding(name, BAD, f"{role} lacks {' and '.join(missing)} on {objects}", "See docs/iam/README.md")
        return Finding(name, OK, f"{role} reads and writes {objects}")

    def _definition(self, *, reachable: bool) -> Finding:
        """Check that the definition is published, or can be compiled here."""
        name = "definition"
        python = self.arguments.sdk_python or default_python()
        try:
            sdk = dict(sdk_versions(python)).get("sagemaker", "")
            compiled = f"compiled by sagemaker {sdk} of {python}"
        except SdkNotAvailable:
            compiled = ""
        try:
            subject = subject_of(self.config)
        except AirflowSageMakerError as error:
            return Finding(name, BAD, " ".join(str(error).split()))
        if reachable and self.bucket:
            place = Publications(self.aws, self.bucket, self.config.pipeline_name, str(self.config.role_arn))
            found = place.find(self.config, subject)
            if found is not None:
                return Finding(name, OK, f"published as {found.version_alias}")
            if not compiled:
                return Finding(name, BAD, f"{place.miss}, and the SageMaker SDK is not installed", f"Run {COMMAND}")
        return Finding(
            name,
            OK if compiled else BAD,
            compiled or "the SageMaker SDK is not installed",
            "" if compiled else f"Run {COMMAND}",
        )

    def _image(self) -> Finding:
        if self.config.own_image:
            return Finding("image", SKIPPED, f"{self.config.own_image}: its owner is responsible for security patches")
        warning = images.patch_warning(self.config.framework_version, datetime.datetime.now(datetime.UTC).date())
        last = images.last_patch_day(self.config.framework_version)
        text = f"PyTorch {self.config.framework_version}, " + (
            f"security patches until {last}" if last else "AWS has not yet published when its security patches end"
        )
        return Finding("image", WARNING if warning else OK, warning or text)

    def _quota(self, compute: Compute) -> Finding:
        name, wanted = "quota", f"{compute.instance_type} for {compute.usage}"
        pages: Iterator[QuotaPage] = self._pages(
            "service-quotas", "list_service_quotas", ServiceCode="sagemaker", MaxResults=100
        )
        try:
            quota = next(
                (one for page in pages for one in page["Quotas"] if one["QuotaName"].lower() == wanted.lower()), None
            )
        except Exception as error:
            advice = "Requires servicequotas:ListServiceQuotas"
            return Finding(name, SKIPPED, f"not checked ({error_code(error)})", advice)
        if quota is None:
            return Finding(name, WARNING, f"Service Quotas lists no quota named '{wanted}'")
        enough = quota["Value"] >= compute.count
        advice = "" if enough else "Raise it under Service Quotas, Amazon SageMaker"
        return Finding(name, OK if enough else BAD, f"{quota['QuotaName']}: {quota['Value']:g}", advice)

    def _airflow(self) -> Iterator[Finding]:
        """Check in Airflow's API that a triggerer is running, and that the plugin is loaded once."""
        url = self.arguments.airflow_url
        if not url:
            yield Finding("triggerer, plugin", SKIPPED, "not checked", "Set --airflow-url and --token, or --username")
            return
        try:
            api = open_airflow(self.arguments)
            health = (api.get("/monitor/health") or {}).get("triggerer") or {}
            plugins = [one["name"] for one in (api.get("/plugins") or {}).get("plugins", [])]
        except AirflowSageMakerError as error:
            yield Finding("triggerer, plugin", BAD, " ".join(str(error).split()))
            return
        runs = health.get("status") == "healthy"
        advice = "" if runs else "Deferred tasks need it: start `airflow triggerer`"
        yield Finding("triggerer", OK if runs else BAD, str(health.get("status")), advice)
        count = plugins.count("airflow_sagemaker")
        advice = (
            "" if count == 1 else "Install the package or copy it into the plugins folder of the api-server, not both"
        )
        yield Finding("plugin", OK if count == 1 else BAD, f"loaded {count} times", advice)

    def _ask(self, service: str, operation: str, **given: object) -> JsonObject | Exception:
        """Return the response or the error; the client retries transient errors."""
        try:
            reply: JsonObject = self.aws.call(service, operation, **given)
        except Exception as error:
            return error
        return reply

    def _pages(self, service: str, operation: str, **given: object) -> Iterator[Response]:
        """Return the listing pages of an operation that only this command calls, so the policy need not allow it."""
        return self.aws.pages(service, operation, **given)

    def _fault(self, name: str, error: Exception, before: str) -> Finding:
        return Finding(
            name, BAD, f"{before}{error_code(error)}: {error_text(error)}", RULE[classify_error(error)].advice
        )

    def _execution_arn(self, pipeline: str) -> str:
        """Return the ARN of an execution that does not exist, in the caller's account."""
        identity = self._ask("sts", "get_caller_identity")
        account = "0" * 12 if isinstance(identity, Exception) else identity["Account"]
        partition = (
            os.environ.get("AWS_PARTITION", "aws") if isinstance(identity, Exception) else identity["Arn"].split(":")[1]
        )
        return f"arn:{partition}:sagemaker:{self.config.region}:{account}:pipeline/{pipeline}/execution/{'0' * 12}"
