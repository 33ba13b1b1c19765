"""The demo's report: the run's steps, the training job's metrics, and the paths of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from airflow_sagemaker.contract import METRICS, XCom, report_problem
from airflow_sagemaker.types import JsonMapping
from local_stack.errors import StackError
from local_stack.rest import TaskInstance
from local_stack.stack import Stack

SHOWN_ROWS = 10
"""How many scored flights to show."""


def show(console: Console, stack: Stack, dag_id: str, run_id: str, tasks: Sequence[str]) -> None:
    """Print the tables; StackError if the training job did not complete or has no model artifact."""
    outcome = stack.airflow.xcom(dag_id, run_id, "wait_for_training")
    job = stack.client("sagemaker").describe_training_job(TrainingJobName=outcome["training_job_name"])
    if job["TrainingJobStatus"] != "Completed":
        raise StackError(f"the training job {job['TrainingJobName']} ended as {job['TrainingJobStatus']}")
    artifact = _as_file(stack, job["ModelArtifacts"]["S3ModelArtifacts"])
    if not artifact.is_file():
        raise StackError(f"the training job reports its model at {artifact}, but this file does not exist")
    rows = stack.airflow.xcom(dag_id, run_id, "preprocess")["rows"]
    partition = stack.airflow.run(dag_id, run_id)["partition_key"]
    counts = ", ".join(f"{count:,} {split}" for split, count in rows.items())
    console.print(f"\n[bold]partition {partition}[/bold]: {counts} rows", soft_wrap=True)
    console.print(_steps(stack.airflow.task_instances(dag_id, run_id), tasks))
    console.print(f"metrics of the training job {job['TrainingJobName']}", soft_wrap=True)
    console.print(_metrics(job, _baseline(outcome.get("report") or {})))
    console.print(f"model artifact   {artifact} ({artifact.stat().st_size / 1024:.0f} kB)", soft_wrap=True)
    console.print(f"checkpoints      {_as_file(stack, job['CheckpointConfig']['S3Uri'])}", soft_wrap=True)


def show_champion(console: Console, stack: Stack, dag_id: str, run_id: str) -> None:
    """Print whether the model was approved, and the model that it was compared with."""
    promoted = stack.airflow.xcom(dag_id, run_id, "promote")
    console.print(f"model package    {promoted['package_arn']}: [bold]{promoted['status']}[/bold]", soft_wrap=True)
    console.print(f"                 {promoted['reason']}", soft_wrap=True)
    if promoted["champion_arn"]:
        console.print(f"champion before  {promoted['champion_arn']}", soft_wrap=True)


def show_scores(console: Console, stack: Stack, dag_id: str, run_id: str) -> None:
    """Print the first flights of the next day with the champion's probability of a late arrival."""
    import pyarrow.parquet as pq

    started = stack.airflow.xcom(dag_id, run_id, "start_scoring", key=XCom.STARTED.value)["parameters"]
    flights = pq.read_table(_as_file(stack, started["InputPath"])).slice(0, SHOWN_ROWS).to_pylist()
    answers = pq.read_table(_as_file(stack, started["OutputPath"]) / "predictions.parquet")
    console.print(
        f"\n{answers.num_rows:,} flights of {started['Partition']}, scored by {started['ModelName']}", soft_wrap=True
    )
    table = Table()
    for name in ("departure", "carrier", "from", "to", "probability of being late"):
        table.add_column(name, justify="right" if name.startswith("prob") else "left")
    for flight, answer in zip(flights, answers.slice(0, SHOWN_ROWS).to_pylist(), strict=True):
        hour, minute = divmod(int(flight["departure_minute"]), 60)
        place = (flight["carrier"], flight["origin"], flight["dest"])
        table.add_row(f"{hour:02}:{minute:02}", *place, f"{answer['probability']:.2f}")
    console.print(table)


def _steps(instances: Sequence[TaskInstance], tasks: Sequence[str]) -> Table:
    table = Table()
    table.add_column("step")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    by_name = {task["task_id"]: task for task in instances}
    for name in tasks:
        table.add_row(name, by_name[name]["state"], f"{by_name[name]['duration']:.1f}")
    return table


def _metrics(job: JsonMapping, baseline: Mapping[str, float]) -> Table:
    """The job's FinalMetricDataList next to the metrics of a constant predictor on the same rows."""
    table = Table()
    table.add_column("metric")
    table.add_column("model", justify="right")
    table.add_column("constant predictor", justify="right")
    final = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    names = [metric.name for metric in METRICS]
    missing = [name for name in names if name not in final]
    if missing:
        raise StackError(f"the training job has no value for {', '.join(missing)}; no line of its log matches")
    for name in names:
        constant = baseline.get(name)
        table.add_row(name, f"{final[name]:.4f}", "-" if constant is None else f"{constant:.4f}")
    return table


def _baseline(report: JsonMapping) -> Mapping[str, float]:
    problem = report_problem(report)
    if problem:
        raise StackError(problem)
    return report.get("baseline") or {}


def _as_file(stack: Stack, uri: str) -> Path:
    """The file or folder of an S3 object in the local SageMaker."""
    return stack.home.sagemaker / "s3" / uri.removeprefix("s3://").rstrip("/")
