"""The hyperparameters of the training program: the table's fields and the model's settings.

Scalars are pipeline parameters, so that changing one needs no new definition; the three lists describe the table and
are part of the definition. For your own program, subclass `ModelHyperparameters` and add fields: scalars (str, int,
float, bool) and lists of them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Protocol

from pydantic import Field

from airflow_sagemaker.config.strict_model import Rule, StrictModel, reads_fields
from airflow_sagemaker.exceptions import Violation
from airflow_sagemaker.types import JsonMapping, JsonObject, JsonValue

PARAMETER_PREFIX = "Hyperparameter"
MAX_KEYS = 100  # CreateTrainingJob: at most 100 hyperparameters
MAX_VALUE = 2500  # CreateTrainingJob: characters of one hyperparameter's value
MAX_PARAMETER = 1024  # StartPipelineExecution: characters of one pipeline parameter's value
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # control characters, but for tabs and line breaks

FieldList = tuple[str, ...]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def parameter_name(field: str) -> str:
    """Return the pipeline parameter of a scalar: `learning_rate` -> `HyperparameterLearningRate`."""
    return PARAMETER_PREFIX + "".join(part[:1].upper() + part[1:] for part in field.split("_"))


def encode_json(value: object) -> str:
    """Return a value as JSON for the container, where it is decoded once.

    Strings are encoded, too: otherwise, the string `123` would become a number. The JSON is plain ASCII on one line.
    """
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=True, allow_nan=False)


class _Fields(Protocol):
    """The fields that the rules read."""

    id_name: str
    label_name: str
    full_field_list: FieldList
    tab_field_list: FieldList
    cat_field_list: FieldList


def _in_full_field_list(name: str) -> Rule:
    @reads_fields(name, "full_field_list")
    def check(seen: _Fields) -> Iterator[Violation]:
        value = getattr(seen, name)
        full, of_list = set(seen.full_field_list), name.endswith("_list")
        strangers = [field for field in (value if of_list else [value]) if field not in full]
        if strangers:
            near = difflib.get_close_matches(strangers[0], seen.full_field_list, n=1)
            hint = f"did you mean {near[0]}?" if near else ""
            rule = "every field must be in full_field_list" if of_list else "must be in full_field_list"
            yield Violation(name, strangers if of_list else value, rule, hint)

    return check


def _no_feature(name: str, features: str) -> Rule:
    @reads_fields(name, features)
    def check(seen: _Fields) -> Iterator[Violation]:
        if getattr(seen, name) in getattr(seen, features):
            yield Violation(features, getattr(seen, name), f"{name} must not be a feature")

    return check


@reads_fields("id_name", "label_name")
def _label_is_not_the_id(seen: _Fields) -> Iterator[Violation]:
    if seen.id_name == seen.label_name:
        yield Violation("label_name", seen.label_name, "must differ from id_name")


@reads_fields("tab_field_list", "cat_field_list")
def _features_in_one_list(seen: _Fields) -> Iterator[Violation]:
    both = sorted(set(seen.tab_field_list) & set(seen.cat_field_list))
    if both:
        yield Violation("cat_field_list", both, "must not contain fields of tab_field_list")
    if not seen.tab_field_list and not seen.cat_field_list:
        yield Violation("tab_field_list", [], "tab_field_list or cat_field_list must contain at least one feature")


def _each_field_once(seen: object) -> Iterator[Violation]:
    for name in ("full_field_list", "tab_field_list", "cat_field_list"):
        fields = getattr(seen, name, None) or ()
        twice = [field for field, count in Counter(fields).items() if count > 1]
        if twice:
            yield Violation(name, twice, "must not contain duplicate fields")
        strange = [field for field in fields if not field or _CONTROL.search(field)]
        if strange:
            yield Violation(name, strange, "a field name must not be empty or contain control characters")


def _fits_into_parameters(seen: object) -> Iterator[Violation]:
    for name, value in vars(seen).items():
        if isinstance(value, str) and _NO_TEXT.search(value):
            yield Violation(name, value, "must not contain control characters other than tabs and line breaks")
        if not isinstance(value, tuple | list) and len(encode_json(value)) > MAX_PARAMETER:
            rule = f"must have at most {MAX_PARAMETER} characters as JSON, the limit of a pipeline parameter"
            yield Violation(name, value, rule)
    for parameter, names in _by_parameter(vars(seen)).items():
        if len(names) > 1:
            yield Violation(
                names[1], getattr(seen, names[1]), f"maps to {parameter}, the pipeline parameter of {names[0]}"
            )
    if len(vars(seen)) > MAX_KEYS:
        yield Violation("hyperparameters", len(vars(seen)), f"must have at most {MAX_KEYS} entries, SageMaker's limit")


def _by_parameter(values: JsonMapping) -> dict[str, list[str]]:
    """Return the scalars' names by their pipeline parameters."""
    found: dict[str, list[str]] = {}
    for name, value in values.items():
        if not isinstance(value, tuple | list):
            found.setdefault(parameter_name(name), []).append(name)
    return found


class ModelHyperparameters(StrictModel):
    """The table's fields and the settings of `training/train.py`, whose options have the same names and defaults."""

    what: ClassVar[str] = "hyperparameters"
    rules: ClassVar[tuple[Rule, ...]] = (
        *(_in_full_field_list(name) for name in ("id_name", "label_name", "tab_field_list", "cat_field_list")),
        _label_is_not_the_id,
        *(_no_feature(name, f"{kind}_field_list") for name in ("id_name", "label_name") for kind in ("tab", "cat")),
        _features_in_one_list,
        _each_field_once,
        _fits_into_parameters,
    )

    id_name: str = Field(min_length=1, description="Column that identifies a row; never a feature.")
    label_name: str = Field(
        min_length=1,
        description="Column to predict: 2 to 100 classes as numbers, booleans or strings; never a feature.",
    )
    full_field_list: FieldList = Field(min_length=1, description="All columns of the table.")
    tab_field_list: FieldList = Field(default=(), description="Numeric features; scaled.")
    cat_field_list: FieldList = Field(default=(), description="Categorical features; embedded.")
    positive_label: str = Field(
        default="", description="Class whose probability is predicted, of two; empty: the last in sorted order."
    )
    learning_rate: Positive = Field(default=0.001, description="Learning rate of the optimizer after warmup.")
    batch_size: int | None = Field(
        default=None, ge=1, description="Rows per step over all processes. Default: 32 to 1024, by the number of rows."
    )
    epochs: int | None = Field(
        default=None,
        ge=1,
        description="Maximum passes over the training data. Default: 1 to 200, by the number of rows.",
    )
    patience: int | None = Field(
        default=None,
        ge=0,
        description="Epochs without a lower validation loss before training stops; 0 disables early stopping. "
        "Default: 200 steps, or half of those up to the lowest loss.",
    )
    weight_decay: float = Field(default=0.0001, ge=0, description="Decoupled weight decay.")
    dropout: Fraction = Field(default=0.3, description="Share of activations dropped during training.")
    hidden_size: int = Field(default=128, ge=1, description="Width of the hidden layers.")
    hidden_layers: int = Field(default=3, ge=1, description="Number of hidden layers.")
    embedding_size: int = Field(default=16, ge=1, description="Numbers per embedded feature.")
    ensemble_size: int = Field(
        default=4, ge=1, description="Members of the ensemble that share the layers; 1 is a plain, faster network."
    )
    warmup_steps: int = Field(default=100, ge=0, description="Steps during which the learning rate rises.")
    averaging_steps: int = Field(
        default=200, ge=0, description="Maximum number of steps that weights are averaged over; 0 disables averaging."
    )
    gradient_clip: float = Field(default=1.0, ge=0, description="Maximum gradient norm; 0 disables clipping.")
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="Seed of all random number generators.")
    precision: Literal["auto", "float32", "bfloat16", "float64"] = Field(
        default="auto",
        description="Number format; auto is bfloat16 on GPUs that support it, otherwise float32 (with TF32 for "
        "products on GPUs).",
    )
    threads: int = Field(
        default=0,
        ge=0,
        description="CPU threads per process; 0 uses OMP_NUM_THREADS if set (torchrun sets it), "
        "otherwise a share of the cores.",
    )
    class_weight: Literal["none", "balanced"] = Field(default="none", description="Weight of the two classes.")
    compile_model: bool = Field(default=False, description="Use torch.compile.")
    checkpoint_minutes: Positive = Field(default=5.0, description="Minutes between checkpoints within an epoch.")
    memory_fraction: float = Field(
        default=0.5, gt=0, le=1, description="Share of memory that the table may use; larger tables are streamed."
    )
    importance: bool = Field(
        default=True, description="Measure feature importance, in at most a tenth of the training time."
    )
    max_rows: int = Field(default=0, ge=0, description="Maximum rows of each split, evenly spaced; 0 uses all.")

    def lists(self) -> dict[str, list[JsonValue]]:
        """Return the fields with lists, which are part of the definition."""
        return {name: list(value) for name, value in self if isinstance(value, tuple | list)}

    def scalars(self) -> JsonObject:
        """Return the other fields, which are pipeline parameters."""
        return {name: value for name, value in self if not isinstance(value, tuple | list)}

    def parameters(self) -> dict[str, str]:
        """Return the pipeline parameters of the scalars, with values as JSON."""
        return {parameter_name(name): encode_json(value) for name, value in self.scalars().items()}

    def lists_fit(self) -> bool:
        """Whether the lists fit into hyperparameters; otherwise they are shipped as a file next to the program."""
        return all(len(encode_json(value)) <= MAX_VALUE for value in self.lists().values())
