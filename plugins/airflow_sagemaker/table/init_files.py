"""The two files that `init` writes side by side: the configuration and the DAG that trains with it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.decisions import Decisions

DAG = '''"""Trains {name} for every date partition. Written by `airflow-sagemaker init`; change it as you like.

The files of a partition must be at <bucket>/{name}/input/<partition>/ before it is trained, where
`airflow-sagemaker split` writes them. A task can write them instead: SageMakerTrainingDag(..., preprocess=my_task).
"""

from airflow_sagemaker import SageMakerTrainingDag

dag = SageMakerTrainingDag("{name}.yaml", schedule={schedule})
'''


def pipeline_name(path: Path) -> str:
    """Return the name of pipeline, DAG and files, from that of the table's file."""
    stem = path.name.split(".")[0] if path.suffix else path.name
    ascii_only = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")
    return name if name and name[0].isalpha() else f"table-{name}".rstrip("-")


def write_files(decisions: Decisions, name: str, folder: Path, schedule: str | None, table: Path) -> list[Path]:
    """Write both files or none. Raises TableError if one of them exists."""
    texts = {
        folder / f"{name}.yaml": "".join(_yaml_lines(decisions, name, table)),
        folder / f"{name}.py": DAG.format(name=name, schedule=json.dumps(schedule) if schedule else None),
    }
    there = [str(path) for path in texts if path.exists() or path.is_symlink()]
    if there:
        raise TableError(f"{' and '.join(there)}: nothing is overwritten; choose another --name, or remove it first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise TableError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    return list(texts)


def _yaml_lines(decisions: Decisions, name: str, table: Path) -> Iterator[str]:
    size = f"{decisions.rows:,} rows, {decisions.columns:,} columns"
    yield f"# Written by `airflow-sagemaker init` from {printable(table)}: {size}.\n"
    yield "# All settings: docs/reference/configuration.md. Bucket, role and region come from the Airflow connection.\n"
    yield f"pipeline_name: {_scalar(name)}\n"
    yield f"training_instance_type: {decisions.instance_type}\n"
    yield "max_runtime_seconds: 14400\n"
    yield "hyperparameters:\n"
    reason = "  # no column identifies a row: `split` numbers them" if decisions.numbers_rows else ""
    yield f"  id_name: {_scalar(decisions.id_name)}{reason}\n"
    yield f"  label_name: {_scalar(decisions.label)}\n"
    for key, names in (
        ("full_field_list", decisions.full_field_list),
        ("tab_field_list", [column.name for column in decisions.numbers]),
        ("cat_field_list", [column.name for column in decisions.categories]),
    ):
        yield from _list_lines(key, names)
    if decisions.left_out:
        yield "# Not features (to use one, add it to full_field_list and to one of the two lists below it):\n"
        for one in decisions.left_out:
            yield f"#   {printable(one.column)}: {printable(one.reason)}\n"


def _list_lines(key: str, names: list[str]) -> Iterator[str]:
    if not names:
        yield f"  {key}: []\n"
        return
    yield f"  {key}:\n"
    for name in names:
        yield f"    - {_scalar(name)}\n"


def _scalar(value: str) -> str:
    """Return a string as YAML, in quotes if needed."""
    import yaml

    dumped: str = yaml.safe_dump(value, allow_unicode=True, width=10**6).strip()
    return dumped.removesuffix("\n...").strip()


def printable(value: object) -> str:
    """Return a string for a comment or a terminal, on one line and without control characters."""
    return "".join(char if char.isprintable() else " " for char in str(value))
