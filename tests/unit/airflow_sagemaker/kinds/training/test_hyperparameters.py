"""The table's fields, the knobs, and how they travel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_sagemaker import ModelHyperparameters
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.kinds.training.hyperparameters import encode_json, parameter_name
from tests.support.config_samples import TABLE


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"id_name": "x"}, "id_name", "must be in full_field_list"),
        ({"label_name": "customer_id"}, "label_name", "must differ from id_name"),
        ({"tab_field_list": ["feature9"]}, "tab_field_list", "every field must be in full_field_list"),
        ({"tab_field_list": ["feature3"]}, "cat_field_list", "must not contain fields of tab_field_list"),
        ({"cat_field_list": ["target"]}, "cat_field_list", "label_name must not be a feature"),
        ({"tab_field_list": ["feature1", "feature1"]}, "tab_field_list", "must not contain duplicate fields"),
        ({"tab_field_list": [], "cat_field_list": []}, "tab_field_list", "at least one feature"),
        ({"learning_rate": 0}, "learning_rate", "greater than 0"),
        ({"learning_rate": float("inf")}, "learning_rate", "finite"),
        ({"batch_size": 0}, "batch_size", "greater than or equal to 1"),
        ({"epochs": 1.5}, "epochs", "integer"),
        ({"seed": 2**63}, "seed", "less than or equal to 9223372036854775807"),
        ({"dropout": 1}, "dropout", "less than 1"),
        ({"precision": "int8"}, "precision", "bfloat16"),
        ({"label_nam": "x"}, "label_nam", "did you mean label_name"),
    ],
)
def test_a_broken_rule_is_named(change: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ModelHyperparameters(**{**TABLE, **change})
    assert [violation.field for violation in caught.value.violations] == [field]
    assert rule in str(caught.value)


def test_a_mistyped_key_hides_nothing_else() -> None:
    """The rules over the other fields apply, a subclass's own that reads a property among them."""

    def few_features(seen: Any) -> Iterator[Violation]:
        if seen.features > 1:
            yield Violation("features", seen.features, "must be at most 1")

    class Mine(ModelHyperparameters):
        rules = (few_features,)

        @property
        def features(self) -> int:
            return len(self.tab_field_list) + len(self.cat_field_list)

    given = {**TABLE, "tab_field_list": ["feature1", "feature22"], "id_nam": TABLE["id_name"]}
    del given["id_name"]
    with pytest.raises(ConfigurationError) as caught:
        Mine(**given)
    found = {violation.field: violation.hint or violation.rule for violation in caught.value.violations}
    assert found == {
        "id_name": "is required",
        "tab_field_list": "did you mean feature2?",
        "id_nam": "did you mean id_name?",
        "features": "must be at most 1",
    }


@pytest.mark.parametrize("bad", ["new\nline", "tab\t", "bell\x07", ""])
def test_a_name_with_control_characters_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError):
        ModelHyperparameters(**{**TABLE, "full_field_list": [*TABLE["full_field_list"], bad]})


def test_text_may_hold_line_breaks_but_nothing_that_a_shell_cannot_carry() -> None:
    class Mine(ModelHyperparameters):
        prompt: str = ""

    assert Mine(**TABLE, prompt="two\nlines\r\n\tx").parameters()["HyperparameterPrompt"] == '"two\\nlines\\r\\n\\tx"'
    for bad in ("nul\x00", "bell\x07", "escape\x1b[0m"):
        with pytest.raises(ConfigurationError, match="must not contain control characters other than tabs"):
            Mine(**TABLE, prompt=bad)


def test_two_names_of_one_parameter_are_refused() -> None:
    class Mine(ModelHyperparameters):
        learningRate: float = 1.0

    with pytest.raises(
        ConfigurationError, match="maps to HyperparameterLearningRate, the pipeline parameter of learning_rate"
    ):
        Mine(**TABLE)


def test_a_mapping_that_fits_into_no_parameter_is_refused() -> None:
    class Mine(ModelHyperparameters):
        weights: dict[str, float]

    assert Mine(**TABLE, weights={"a": 1.5}).parameters()["HyperparameterWeights"] == '{"a": 1.5}'
    with pytest.raises(ConfigurationError, match=r"weights = .*at most 1024 characters"):
        Mine(**TABLE, weights={str(n): 0.5 for n in range(200)})


def test_a_name_longer_than_a_pipeline_parameter_is_refused() -> None:
    long = "x" * 1023
    with pytest.raises(ConfigurationError, match="at most 1024 characters"):
        ModelHyperparameters(**{**TABLE, "id_name": long, "full_field_list": [*TABLE["full_field_list"], long]})


@pytest.mark.parametrize("value", ["123", "true", "it's", 'say "x"', "naïve ☃", "$(id)", 0.1, 1, True, ["a", "1"]])
def test_a_value_keeps_its_type_as_ascii_json(value: Any) -> None:
    text = encode_json(value)
    assert json.loads(text) == value
    assert type(json.loads(text)) is type(value)
    assert text.isascii()


def test_parameter_names_are_pascal_case() -> None:
    assert parameter_name("learning_rate") == "HyperparameterLearningRate"
    assert parameter_name("n_D2") == "HyperparameterND2"


def test_scalars_are_parameters_and_lists_are_not() -> None:
    hyperparameters = ModelHyperparameters(**TABLE)
    assert set(hyperparameters.lists()) == {"full_field_list", "tab_field_list", "cat_field_list"}
    assert hyperparameters.parameters()["HyperparameterWarmupSteps"] == "100"
    assert hyperparameters.parameters()["HyperparameterBatchSize"] == "null"  # the table decides
    assert len(hyperparameters.scalars()) + 3 == len(ModelHyperparameters.model_fields)


def test_a_program_of_ones_own_adds_knobs_by_subclassing() -> None:
    class Mine(ModelHyperparameters):
        trees: int = 100
        layers: tuple[int, ...] = (8, 4)

    mine = Mine(**TABLE)
    assert mine.parameters()["HyperparameterTrees"] == "100"
    assert mine.lists()["layers"] == [8, 4]


def test_wide_lists_do_not_fit() -> None:
    columns = [f"column_{number}" for number in range(1000)]
    wide = ModelHyperparameters(**{**TABLE, "full_field_list": [*TABLE["full_field_list"], *columns]})
    assert not wide.lists_fit()
    assert ModelHyperparameters(**TABLE).lists_fit()


def test_names_and_defaults_equal_the_training_programs() -> None:
    import dataclasses

    from training.hyperparameters import Hyperparameters

    theirs = {field.name: field.default for field in dataclasses.fields(Hyperparameters)}
    assert list(theirs) == list(ModelHyperparameters.model_fields)
    for name, field in ModelHyperparameters.model_fields.items():
        if not field.is_required():
            assert theirs[name] == field.default, name


@pytest.mark.parametrize("number", [0.512345, 1.5e-7, 12.0, 1e9, float("nan"), float("inf")])
def test_each_metric_regex_finds_its_number_in_one_line_of_the_training_program(number: float) -> None:
    import re

    pytest.importorskip("torch")
    from airflow_sagemaker.kinds.training.groups import default_metric_definitions
    from training.evaluation import metrics

    assert tuple(default_metric_definitions()) == metrics.NAMES
    for name, regex in default_metric_definitions().items():
        lines = metrics.lines({**dict.fromkeys(metrics.NAMES, 3.0), name: number})
        (found,) = [match for match in (re.search(regex, line) for line in lines) if match]
        assert float(found[1]) == pytest.approx(number, abs=1e-6, nan_ok=True)
