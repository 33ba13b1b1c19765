"""The operator that registers a trained model and decides whether it becomes the champion."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # rejects an old Airflow

# isort: split
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_sagemaker.contract import XCom
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.promote.decision import CHAMPION, ApprovalStatus, Criteria, decide, read_criteria
from airflow_sagemaker.promote.findings import check_notifiers, notify
from airflow_sagemaker.promote.judged import (
    Comparison,
    Judged,
    Pause,
    Scores,
    approval_description,
    is_settled_by_a_person,
)
from airflow_sagemaker.start.rendering import render_text
from airflow_sagemaker.start.run_config import RUN_PARTITION
from airflow_sagemaker.start.task_settings import seconds_of
from airflow_sagemaker.types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier, Context, XComArg

    from airflow_sagemaker.aws.model_registry import ModelRegistry, Package, Summary
    from airflow_sagemaker.promote.model_package import Candidate

GROUP_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
"""ModelPackageGroupName of CreateModelPackageGroup."""
CRITERIA = ("min_value", "max_value", "tolerance", "better_than", "approval")


class SageMakerPromoteModelOperator(BaseOperator):
    """Register a training's model as a package, exactly once per task run, and approve it if it is good enough.

    The model is judged by the metrics in its outcome, which are those of the artifact. The champion is the group's
    latest approved package. If the model is rejected, the task still succeeds, and the champion stays. All tries of a
    task run use the same package. A package that a user has approved or rejected is never changed.

    :param outcome: the outcome of the training, `wait.output`.
    :param group: the model package group; created if it does not exist.
    :param metric: name of the metric that decides, such as "Validation AUC ROC".
    :param min_value: the lowest accepted value of a metric for which higher is better.
    :param max_value: the highest accepted value of a metric for which lower is better.
    :param better_than: "champion", or None for no comparison.
    :param tolerance: by how much the model may be worse than the champion.
    :param same_rows: score the champion on the test rows of this training, and compare both models on these rows. A
        Processing job does that once per pair of models, with the training job's role, image and network. Without a
        champion, only the metrics of the outcome decide.
    :param instance_type: instance type of that job.
    :param source_dir: the training program, whose `compare.py` that job runs; default: the shipped one.
    :param deferrable: wait for that job in the triggerer.
    :param poll_interval: seconds, or a timedelta, between polls of that job; in the triggerer at least 10.
    :param approval: "automatic" sets Approved or Rejected; "manual" leaves a model that is good enough at
        PendingManualApproval.
    :param higher_is_better: direction of a metric that your program defines; known for the shipped ones.
    :param notifiers: Airflow notifiers (SMTP, SNS, Slack, ...), called if the model is rejected, needs approval, or has
        a metric that deviates from earlier partitions; their templates can use `promotion`, the XCom.
    :param image: the image that serves the model; default: AWS's PyTorch inference container of the region.
    :param partition: the partition that the model was trained for; default: the run's.
    :param aws_conn_id: the Airflow connection; None uses boto3's default credentials and region.
    :param region_name: the AWS region; default: that of the training.
    :param verify: whether to check TLS certificates, or the path of a CA bundle; default: the connection's.
    :param botocore_config: options of `botocore.config.Config` as a dict; default: the connection's.

    XCom: package_arn, package_url, status, reason, metric, value, partition; champion_arn and champion_value of the
    champion that it was compared with (None without one); and findings, which say what is unusual about the metric.
    With `same_rows`, the metric is that of the test rows, such as "Test AUC ROC". Events of assets among the outlets
    have the same content.
    """

    template_fields: Sequence[str] = (
        "outcome", "group", "metric", "min_value", "max_value", "better_than", "tolerance", "approval", "image",
        "partition", "aws_conn_id", "region_name", "verify", "botocore_config", "instance_type", "source_dir",
    )  # fmt: skip
    template_fields_renderers = {"outcome": "json"}  # noqa: RUF012 - Airflow's own convention
    ui_color = "#e6f4e1"

    def __init__(
        self,
        *,
        outcome: JsonMapping | XComArg | str,
        group: str,
        metric: str,
        min_value: float | str | None = None,
        max_value: float | str | None = None,
        better_than: str | None = CHAMPION,
        tolerance: float | str = 0.0,
        same_rows: bool = False,
        instance_type: str = "ml.m5.xlarge",
        source_dir: str | None = None,
        deferrable: bool = True,
        poll_interval: timedelta | float = 30.0,
        approval: str = "automatic",
        higher_is_better: bool | None = None,
        notifiers: BaseNotifier | Sequence[BaseNotifier] = (),
        image: str | None = None,
        partition: str = RUN_PARTITION,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: JsonObject | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outcome: Any = outcome
        self.group = group
        self.metric = metric
        self.min_value: Any = min_value
        self.max_value: Any = max_value
        self.better_than = better_than
        self.tolerance: Any = tolerance
        self.same_rows = same_rows
        self.instance_type = instance_type
        self.source_dir = source_dir
        self.deferrable = deferrable
        self.poll_interval = seconds_of("poll_interval", poll_interval)
        self.approval: Any = approval
        self.higher_is_better = higher_is_better
        self.notifiers = check_notifiers(notifiers)
        self.image = image
        self.partition = partition
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def render_template(self, content: object, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Render a template; under native rendering, the partition stays a string."""

        def render(value: object) -> Any:
            return super(SageMakerPromoteModelOperator, self).render_template(value, context, *args, **kwargs)

        return render_text(content, render) if content is self.partition else render(content)

    def execute(self, context: Context) -> JsonObject:
        """Return the decision. Raises AirflowFailException for errors that no retry can fix."""
        return self._run(context)

    def resume_comparison(
        self, context: Context, event: JsonObject | None = None, number: int = 1, champion: str = ""
    ) -> JsonObject:
        """Called after a wait for the job of `same_rows`: its number, and the champion that it compares with."""
        return self._run(context, Comparison(number, champion))

    def _run(self, context: Context, comparison: Comparison | None = None) -> JsonObject:
        from airflow_sagemaker.promote.model_package import Candidate
        from airflow_sagemaker.start.record import TaskRun

        run = TaskRun.of(context["ti"])
        is_first = context["ti"].try_number == 1 and comparison is None
        try:
            identity = (run.dag_id, run.run_id, run.task_id, run.map_index, self.group.rsplit("/", 1)[-1])
            candidate = Candidate.of(self.outcome, str(self.partition), identity)
            criteria = self._criteria(candidate)
            registry = self._registry(candidate)
            while isinstance(promoted := self._promote(registry, candidate, criteria, comparison, is_first), Pause):
                comparison, is_first = promoted.comparison, False
                if comparison is not None:
                    self._pause(registry, comparison)
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from None
        context["ti"].xcom_push(key=XCom.PROMOTION.value, value=promoted)
        self._update_assets(context, promoted)
        self._notify(context, promoted)
        return promoted

    # --- settings ----------------------------------------------------------------------------------------------------

    def _criteria(self, candidate: Candidate) -> Criteria:
        given = {name: getattr(self, name) for name in CRITERIA}
        return read_criteria(self.metric, candidate.metrics, given, is_higher_better=self.higher_is_better)

    def _registry(self, candidate: Candidate) -> ModelRegistry:
        from airflow_sagemaker.aws.client import Aws
        from airflow_sagemaker.aws.connections import AwsTarget
        from airflow_sagemaker.aws.executions import ExecutionArn
        from airflow_sagemaker.aws.model_registry import ModelRegistry

        execution = ExecutionArn.parse(candidate.execution_arn)
        self.region_name = self.region_name or execution.region
        if self.group.startswith("arn:"):
            _refuse_foreign_group(self.group, candidate.execution_arn)
        name = self.group.rsplit("/", 1)[-1]
        if not GROUP_NAME.fullmatch(name):
            rule = "must be letters, digits and hyphens between them, at most 63 characters"
            raise ConfigurationError([Violation("group", self.group, rule)], what="promotion")
        target = AwsTarget(self.aws_conn_id, self.region_name, self.verify, self.botocore_config)
        return ModelRegistry(Aws(target, self.log), name)

    # --- promotion ---------------------------------------------------------------------------------------------------

    def _promote(
        self,
        registry: ModelRegistry,
        candidate: Candidate,
        criteria: Criteria,
        comparison: Comparison | None,
        is_first: bool,
    ) -> JsonObject | Pause:
        """Register and judge the model: at most six calls, without those of `same_rows` and of simultaneous promotions.

        The champion is read first, so that nothing is registered that cannot be judged. The package is registered as
        pending and judged by a second call, so that a task that dies in between leaves one that its retry finds.
        """
        from airflow_sagemaker.promote.simultaneous import settle

        newest = registry.newest()
        earlier = [] if is_first else [one.arn for one in newest if one.description.endswith(candidate.token)]
        own = registry.describe(earlier[0]) if earlier else None
        champion = registry.champion(newest, but=own.arn if own else "") if self.better_than == CHAMPION else None
        if own is not None and is_settled_by_a_person(own):
            self.log.info("%s was set to %s by a person and stays: %s", own.arn, own.status, own.approval_description)
            known = Scores(criteria.metric, candidate.metrics[criteria.metric], _metric_of(champion, criteria))
            judged = Judged(own.arn, own.status, own.approval_description, known, champion.arn if champion else None)
            return self._result(registry, candidate, judged)
        scores = self._scores(registry, candidate, champion, criteria, comparison)
        if isinstance(scores, Pause):
            return scores
        decision = decide(replace(criteria, metric=scores.metric), scores.value, scores.champion)
        arn = own.arn if own else registry.register(candidate.request(registry.group, self._image(), criteria.metric))
        registry.set_status(arn, decision.status, approval_description(decision.status, decision.reason))
        judged = Judged(arn, decision.status, decision.reason, scores, champion.arn if champion else None)
        if decision.status is ApprovalStatus.APPROVED and self.better_than == CHAMPION:
            settled = settle(registry, criteria, judged, same_rows=self.same_rows)
            if isinstance(settled, Pause):
                return settled
            judged = settled
        self.log.info("%s: %s (%s)", arn, judged.status, judged.reason)
        return self._result(registry, candidate, judged, self._findings(newest, candidate, criteria))

    def _scores(
        self,
        registry: ModelRegistry,
        candidate: Candidate,
        champion: Package | None,
        criteria: Criteria,
        comparison: Comparison | None,
    ) -> Scores | Pause:
        """Return the values to compare: those that the two were registered with, or those of the same rows."""
        if self.same_rows and champion is not None:
            return self._scores_of_same_rows(registry, candidate, champion, criteria, comparison)
        value = _metric_of(champion, criteria)
        if champion is not None and (value is None or math.isnan(value)):
            rule = f"has no {criteria.metric!r} in its metadata" if value is None else f"has {criteria.metric} nan"
            hint = "register it with its metrics in CustomerMetadataProperties, or set better_than to None"
            raise ConfigurationError([Violation("champion", champion.arn, rule, hint)], what="promotion")
        return Scores(criteria.metric, candidate.metrics[criteria.metric], value)

    def _scores_of_same_rows(
        self,
        registry: ModelRegistry,
        candidate: Candidate,
        champion: Package,
        criteria: Criteria,
        comparison: Comparison | None,
    ) -> Scores | Pause:
        """Return both models' values on the test rows, or a pause while the job that measures them runs."""
        from airflow_sagemaker.aws.comparison_job import RESULT, measured_name
        from airflow_sagemaker.promote.same_rows import comparison_job

        name = measured_name(criteria.metric)
        job = comparison_job(registry.aws, candidate, champion, self.instance_type, self.source_dir)
        if comparison is not None and comparison.champion in ("", champion.arn):
            number = comparison.number
        else:  # of another champion, when one was approved while the job ran
            number = job.find_or_start()
            self.log.info("Processing job %s compares the model with %s", job.name(number), champion.arn)
        found = job.result(number)
        if found is None:
            return Pause(Comparison(number, champion.arn))
        values = [found[model].get(name) for model in ("model", "champion")]
        self.log.info("%s of %d test rows: %s, the champion %s (%s)", name, found["rows"], *values, RESULT)
        own, other = (math.nan if value is None else float(value) for value in values)
        if math.isnan(other) and not math.isnan(own):
            rule = f"has no {name} on the test rows of this training"
            hint = "approve another package, or set better_than to None"
            raise ConfigurationError([Violation("champion", champion.arn, rule, hint)], what="promotion")
        return Scores(f"Test {name}", own, other)

    def _pause(self, registry: ModelRegistry, comparison: Comparison) -> None:
        """Wait until the next look at the job of `same_rows`: in the triggerer, which raises, or in the worker."""
        if self.deferrable:
            from airflow_sagemaker.triggers import PauseTrigger

            kwargs = {"number": comparison.number, "champion": comparison.champion}
            self.defer(trigger=PauseTrigger(self.poll_interval), method_name="resume_comparison", kwargs=kwargs)
        registry.aws.stopped.wait(self.poll_interval)

    def _findings(self, newest: Sequence[Summary], candidate: Candidate, criteria: Criteria) -> list[str]:
        """Compare the value with those of the group's newest packages (`metric_watch`); log what is found."""
        from airflow_sagemaker.promote.metric_watch import describe_last
        from airflow_sagemaker.promote.model_package import history

        before = history(criteria.metric, [package.description for package in newest])
        earlier = {name: value for name, value in before.items() if name < candidate.partition}
        partitions = [*earlier, candidate.partition]
        values = [*earlier.values(), candidate.metrics[criteria.metric]]
        found = describe_last(criteria.metric, partitions, values, higher_is_better=criteria.higher_is_better)
        for text in found:
            self.log.warning("%s", text)
        return found

    def _notify(self, context: Context, promoted: JsonObject) -> None:
        """Call the notifiers unless the model was approved and its metric is not unusual."""
        if promoted["status"] == ApprovalStatus.APPROVED and not promoted.get("findings"):
            return
        notify(self.notifiers, context, self.log, promotion=promoted)

    def _image(self) -> str:
        from airflow_sagemaker.config.container_images import inference_image

        if self.image:
            return self.image
        try:
            return inference_image(str(self.region_name))
        except KeyError:
            rule = "has no known PyTorch inference container"
            raise ConfigurationError(
                [Violation("region", self.region_name, rule, "set image")], what="promotion"
            ) from None

    def _result(
        self, registry: ModelRegistry, candidate: Candidate, judged: Judged, findings: Sequence[str] = ()
    ) -> JsonObject:
        from airflow_sagemaker.aws.outcome import without_nan

        promoted: JsonObject = without_nan(
            {
                "package_arn": judged.arn,
                "package_url": registry.page_of(judged.arn),
                "status": str(judged.status),
                "reason": judged.reason,
                "metric": judged.scores.metric,
                "value": judged.scores.value,
                "partition": candidate.partition,
                "champion_arn": judged.champion_arn,
                "champion_value": judged.scores.champion,
                "findings": list(findings),
            }
        )
        return promoted

    def _update_assets(self, context: Context, promoted: JsonObject) -> None:
        for asset in self.outlets or ():
            if isinstance(asset, Asset):
                event = context["outlet_events"][asset]
                event.extra = {**event.extra, **promoted}
                airflow_compat.add_partition(event, promoted["partition"])


def _metric_of(package: Package | None, criteria: Criteria) -> float | None:
    return package.metric(criteria.metric) if package else None


def _refuse_foreign_group(group: str, execution_arn: str) -> None:
    """A group's ARN must be of the training's account and region."""
    theirs, ours = group.split(":")[3:5], execution_arn.split(":")[3:5]
    if theirs != ours:
        rule = f"belongs to account {theirs[-1]} in {theirs[0]}, but the model to account {ours[-1]} in {ours[0]}"
        raise ConfigurationError(
            [Violation("group", group, rule, "register it in a group of the training's own account and region")],
            what="promotion",
        )
