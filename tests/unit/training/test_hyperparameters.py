"""Hyperparameters from arguments, SM_HPS and a file: strictly typed, whatever JSON they are wrapped in."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from training.errors import HyperparameterError
from training.hyperparameters import Hyperparameters, read_hyperparameters

FIELDS = {
    "id_name": "id",
    "label_name": "y",
    "full_field_list": ["id", "y", "a", "b"],
    "tab_field_list": ["a"],
    "cat_field_list": ["b"],
}


def read(argv: list[str] | None = None, folder: Path = Path("/nowhere"), **values: Any) -> Hyperparameters:
    return read_hyperparameters(argv or [], {"SM_HPS": json.dumps({**FIELDS, **values})}, folder)


@pytest.mark.parametrize("value", [0.01, "0.01", '"0.01"'])
def test_numbers_may_be_wrapped_in_json(value: Any) -> None:
    assert read(learning_rate=value).learning_rate == 0.01


@pytest.mark.parametrize("value", [True, "true", '"true"'])
def test_booleans_may_be_wrapped_in_json(value: Any) -> None:
    assert read(compile_model=value).compile_model is True


def test_texts_stay_texts() -> None:
    fields = {"id_name": "123", "full_field_list": ["123", "y", "a", "b"]}
    assert read(**fields).id_name == "123"
    assert read(precision='"float64"').precision == "float64"


def test_lists_may_be_json_texts() -> None:
    assert read(tab_field_list='["a"]').tab_field_list == ("a",)


@pytest.mark.parametrize("value", [None, "null"])
def test_what_the_table_decides_is_null(value: Any) -> None:
    read_in = read(batch_size=value, epochs=value, patience=value)
    assert (read_in.batch_size, read_in.epochs, read_in.patience) == (None, None, None)
    assert read(patience="0").patience == 0


def test_arguments_in_both_spellings() -> None:
    found = read(["--epochs", "3", "--batch-size=64"])
    assert (found.epochs, found.batch_size) == (3, 64)


def test_json_object_wins_over_arguments_that_lost_their_type() -> None:
    assert read(["--id_name", "100000.0"]).id_name == "id"


def test_lists_come_from_the_file_when_nobody_else_gives_them(tmp_path: Path) -> None:
    (tmp_path / "fields.json").write_text(json.dumps(FIELDS))
    assert read_hyperparameters([], {"SM_HPS": '{"epochs": 2}'}, tmp_path).cat_field_list == ("b",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lerning_rate": 1}, "unknown hyperparameter lerning_rate; did you mean learning_rate?"),
        ({"warmup_fraction": 0.05}, "unknown hyperparameter warmup_fraction; did you mean warmup_steps?"),
        ({"epochs": 2.5}, "epochs must be int, found '2.5'"),
        ({"epochs": "many"}, "epochs must be int, found 'many'"),
        ({"epochs": True}, "epochs must be int, found 'True'"),
        ({"learning_rate": "NaN"}, "learning_rate must be float"),
        ({"learning_rate": 0}, "learning_rate must be above 0, found 0"),
        ({"dropout": 1.0}, "dropout must be below 1, found 1.0"),
        ({"compile_model": 1}, "compile_model must be bool, found '1'"),
        ({"seed": 2**63}, "seed must be at most 9223372036854775807, found 9223372036854775808"),
        ({"precision": "half"}, "precision must be one of auto, float32, bfloat16, float64, found 'half'"),
        ({"tab_field_list": "a"}, "tab_field_list must be a list of column names as JSON, found 'a'"),
        ({"tab_field_list": ["a", "a"]}, "duplicate features: a"),
        ({"tab_field_list": ["y"]}, "column y is the id or the label; it must not be a feature"),
        ({"tab_field_list": ["c"]}, "columns missing from full_field_list: c"),
        ({"tab_field_list": [], "cat_field_list": []}, "must name at least one feature"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(HyperparameterError) as caught:
        read(**values)
    assert message in str(caught.value)


def test_missing_ones_are_named_together() -> None:
    with pytest.raises(HyperparameterError, match="missing hyperparameters: id_name, label_name, full_field_list"):
        read_hyperparameters([], {}, Path("/nowhere"))


def test_names_and_defaults_are_those_of_the_airflow_side() -> None:
    from airflow_sagemaker import ModelHyperparameters

    theirs = {name: field.default for name, field in ModelHyperparameters.model_fields.items()}
    ours = {field.name: field.default for field in dataclasses.fields(Hyperparameters)}
    assert set(theirs) == set(ours)
    with_default = [
        field.name for field in dataclasses.fields(Hyperparameters) if field.default is not dataclasses.MISSING
    ]
    assert {name: theirs[name] for name in with_default} == {name: ours[name] for name in with_default}


def test_log_lines_match_the_regular_expressions_of_the_pipeline() -> None:
    from airflow_sagemaker.kinds.training.groups import default_metric_definitions
    from training.evaluation import metrics

    values = dict(zip(metrics.NAMES, [0.5, 12.25, 0.0, 0.75], strict=True))
    definitions = default_metric_definitions()
    assert set(definitions) == set(metrics.NAMES)
    for name, regex in definitions.items():
        found = [re.search(regex, line) for line in metrics.lines(values)]
        assert [float(match.group(1)) for match in found if match] == [values[name]]
