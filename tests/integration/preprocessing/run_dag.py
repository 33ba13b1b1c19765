"""Run a shipped DAG once in this process and print the states of the run and its tasks; in AIRFLOW_HOME of its own.

Arguments: the DAG's module, the run's configuration as JSON, and the tasks that are marked as done without running.
"""

from __future__ import annotations

import importlib
import json
import sys
from datetime import UTC, datetime

from airflow.utils.db import initdb

RUN_AFTER = datetime(2014, 3, 1, 12, tzinfo=UTC)


def main() -> None:
    module, conf, *done = sys.argv[1:]
    initdb()
    dag = importlib.import_module(module).dag
    run = dag.test(
        run_after=RUN_AFTER, logical_date=None, run_conf=json.loads(conf), mark_success_pattern="|".join(done) or None
    )
    tasks = {task.task_id: task.state for task in run.get_task_instances()}
    found = {
        task.task_id: task.xcom_pull(task_ids=task.task_id, key="data_checks") for task in run.get_task_instances()
    }
    told = {task_id: checks for task_id, checks in found.items() if checks}
    sys.stdout.write("\n" + json.dumps({"run": run.state, "tasks": tasks, "data_checks": told}) + "\n")


if __name__ == "__main__":
    main()
