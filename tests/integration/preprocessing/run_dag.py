"""Run the shipped DAG once in this process and print the states of the run and its tasks; in AIRFLOW_HOME of its own.

Arguments: the run's configuration as JSON. `extract` is marked as done without running: it brought nothing.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from airflow.utils.db import initdb

RUN_AFTER = datetime(2014, 3, 1, 12, tzinfo=UTC)


def main() -> None:
    initdb()
    from flight_delay_training import dag

    run = dag.test(
        run_after=RUN_AFTER, logical_date=None, run_conf=json.loads(sys.argv[1]), mark_success_pattern="extract"
    )
    tasks = {task.task_id: task.state for task in run.get_task_instances()}
    sys.stdout.write("\n" + json.dumps({"run": run.state, "tasks": tasks}) + "\n")


if __name__ == "__main__":
    main()
