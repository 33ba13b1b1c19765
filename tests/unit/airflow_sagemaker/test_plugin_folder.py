"""The plugins folder as every process of Airflow loads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import json, sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
ours = [p.name for p in plugins if p.name and "sagemaker" in p.name]
stems = ["operators", "sensors", "config", "exceptions", "execution", "hooks", "triggers", "aws"]
print(json.dumps({
    "ours": ours,
    "errors": {k: str(v) for k, v in errors.items()},
    "executed": [name for name in stems if name in sys.modules],
    "heavy": [name for name in ("sagemaker", "torch") if name in sys.modules],
}))
"""


def test_one_plugin_is_found_and_no_module_of_the_package_is_executed(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found == {"ours": ["airflow_sagemaker"], "errors": {}, "executed": [], "heavy": []}
