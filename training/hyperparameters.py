"""Hyperparameters (the table's fields and the model's settings), and the container's paths.

Hyperparameters come from three places, later ones override earlier ones: `fields.json` beside train.py (lists too long
for a hyperparameter), arguments `--name value`, and `SM_HPS` (a JSON object). The container passes both of the latter,
but its arguments have lost their types (the string "1e5" arrives as 100000.0). Scalars may be strings of JSON, because
they are passed as pipeline parameters.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.errors import HyperparameterError
from training.json_types import JsonObject

FIELDS_FILE = "fields.json"
CHOICES = {"precision": ("auto", "float32", "bfloat16", "float64"), "class_weight": ("none", "balanced")}
SIZES = ("batch_size", "epochs", "hidden_size", "hidden_layers", "embedding_size")
POSITIVE = (*SIZES, "ensemble_size", "learning_rate", "checkpoint_minutes", "memory_fraction")
BELOW_ONE = ("dropout",)
RENAMED = {"warmup_fraction": "warmup_steps"}
LARGEST_SEED = 2**63 - 1  # what PyTorch's generators take


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The same names and defaults as `ModelHyperparameters` on the Airflow side; a test compares them."""

    id_name: str
    """Column that identifies a row; never a feature."""
    label_name: str
    """Column to predict: 2 to 100 classes, as numbers, booleans or strings."""
    full_field_list: tuple[str, ...]
    """All columns of the table."""
    tab_field_list: tuple[str, ...] = ()
    """Numeric features."""
    cat_field_list: tuple[str, ...] = ()
    """Categorical features."""
    positive_label: str = ""
    """Of two classes, the one whose probability is predicted; empty takes the later one in sorted order."""
    learning_rate: float = 0.001
    """Step size of AdamW after the warm-up."""
    batch_size: int | None = None
    """Rows per step over all processes; None chooses by the number of rows (see plan.py), also for the next two."""
    epochs: int | None = None
    """Passes over the training data, at most."""
    patience: int | None = None
    """Epochs without a lower validation loss before stopping; 0 never stops early."""
    weight_decay: float = 0.0001
    """Decoupled weight decay of the weight matrices; biases and embeddings have none."""
    dropout: float = 0.3
    """Share of activations dropped in training."""
    hidden_size: int = 128
    """Width of the hidden layers."""
    hidden_layers: int = 3
    """Number of hidden layers."""
    embedding_size: int = 16
    """Numbers per embedded feature."""
    ensemble_size: int = 4
    """Members that share the layers; 1 is a plain network, which is faster."""
    warmup_steps: int = 100
    """Steps over which the step size rises."""
    averaging_steps: int = 200
    """Steps that the averaged weights cover, at most (see optimizer.py); 0 keeps the last step's weights."""
    gradient_clip: float = 1.0
    """Largest gradient norm; 0 switches clipping off."""
    seed: int = 0
    """Seed of everything random."""
    precision: str = "auto"
    """Number format; auto is bfloat16 on GPUs that have it, else float32 (whose products a GPU rounds to TF32)."""
    threads: int = 0
    """CPU threads of one process; 0 takes OMP_NUM_THREADS if set (torchrun sets it), else a share of the cores."""
    class_weight: str = "none"
    """balanced gives all classes the same total weight in the loss (and shifts the probabilities)."""
    compile_model: bool = False
    """Use torch.compile."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints within an epoch."""
    memory_fraction: float = 0.5
    """Share of the free memory that the table may fill; a larger one is streamed."""
    importance: bool = True
    """Measure the importance of each feature, in at most a tenth of the training's time."""
    max_rows: int = 0
    """Rows of each split, at most, evenly spread over it, for a trial run; 0 takes all."""

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            _check_value(name, value)
        _check_fields(self)

    @property
    def features(self) -> tuple[str, ...]:
        """All feature columns, numeric ones first: the order of the model's input."""
        return self.tab_field_list + self.cat_field_list


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Folders and files of the container contract; its environment variables override them."""

    train: Path
    val: Path
    test: Path
    model: Path
    output: Path
    checkpoints: Path
    failure: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Paths:
        """Read SM_CHANNEL_*, SM_MODEL_DIR, SM_OUTPUT_DATA_DIR, SM_OUTPUT_FAILURE and SM_CHECKPOINT_DIR."""
        root = "/opt/ml"
        return cls(
            train=Path(environ.get("SM_CHANNEL_TRAIN", f"{root}/input/data/train")),
            val=Path(environ.get("SM_CHANNEL_VAL", f"{root}/input/data/val")),
            test=Path(environ.get("SM_CHANNEL_TEST", f"{root}/input/data/test")),
            model=Path(environ.get("SM_MODEL_DIR", f"{root}/model")),
            output=Path(environ.get("SM_OUTPUT_DATA_DIR", f"{root}/output/data")),
            checkpoints=Path(environ.get("SM_CHECKPOINT_DIR", f"{root}/checkpoints")),
            failure=Path(environ.get("SM_OUTPUT_FAILURE", f"{root}/output/failure")),
        )


def read_hyperparameters(
    argv: Sequence[str], environ: Mapping[str, str] = os.environ, folder: Path = Path(__file__).parent
) -> Hyperparameters:
    """Merge and validate the three sources. Raises HyperparameterError, naming what is wrong."""
    values = {**_from_file(folder / FIELDS_FILE), **_from_arguments(argv)}
    values.update(_from_json("SM_HPS", environ.get("SM_HPS") or "{}"))
    fields = {field.name: field for field in dataclasses.fields(Hyperparameters)}
    read: JsonObject = {}
    for name, value in values.items():
        if name.startswith("sagemaker_"):  # added by SageMaker's own tools, not for the program
            continue
        if name not in fields:
            near = [RENAMED[name]] if name in RENAMED else difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(fields)}"
            raise HyperparameterError(f"unknown hyperparameter {name}{hint}")
        read[name] = convert(name, value, str(fields[name].type))
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    missing = [name for name in required if name not in read]
    if missing:
        raise HyperparameterError(f"missing hyperparameters: {', '.join(missing)}")
    return Hyperparameters(**read)


def convert(name: str, value: object, kind: str) -> object:
    """Return `value` as `kind` (str, int, float, bool, tuple[str, ...]): JSON strings are decoded, no type guessed."""
    optional, kind = kind.endswith(" | None"), kind.removesuffix(" | None")
    if kind == "str":
        value = _unquote(value)
    else:
        for _ in range(2):  # JSON may have been encoded twice on its way
            value = _decode(value)
    if value is None and optional:
        return None
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if (kind == "bool" and isinstance(value, bool)) or (kind == "str" and isinstance(value, str)):
        return value
    if kind.startswith("tuple") and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    expected = "a list of column names as JSON" if kind.startswith("tuple") else kind
    raise HyperparameterError(f"hyperparameter {name} must be {expected}, found {str(value)[:80]!r}")


def _decode(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _unquote(value: object) -> str:
    decoded = _decode(value)
    if isinstance(decoded, str):
        return decoded
    return value if isinstance(value, str) else json.dumps(value)  # a column may be called 123


def _from_json(source: str, text: str) -> JsonObject:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise HyperparameterError(f"{source} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise HyperparameterError(f"{source} must be a JSON object, found {type(values).__name__}")
    return values


def _from_file(path: Path) -> JsonObject:
    return _from_json(path.name, path.read_text(encoding="utf-8")) if path.is_file() else {}


def _from_arguments(argv: Sequence[str]) -> JsonObject:
    values: JsonObject = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise HyperparameterError(f"arguments are --name value pairs, found {word[:80]!r}")
        if not equals and not rest:
            raise HyperparameterError(f"argument --{name} has no value")
        values[name.replace("-", "_")] = value if equals else rest.pop(0)
    return values


def _check_value(name: str, value: object) -> None:
    if name in CHOICES and value not in CHOICES[name]:
        raise HyperparameterError(f"hyperparameter {name} must be one of {', '.join(CHOICES[name])}, found {value!r}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if name in POSITIVE and value <= 0:
        raise HyperparameterError(f"hyperparameter {name} must be above 0, found {value}")
    if value < 0:
        raise HyperparameterError(f"hyperparameter {name} must not be negative, found {value}")
    if (name in BELOW_ONE and value >= 1) or (name == "memory_fraction" and value > 1):
        raise HyperparameterError(f"hyperparameter {name} must be below 1, found {value}")
    if name == "seed" and value > LARGEST_SEED:
        raise HyperparameterError(f"hyperparameter {name} must be at most {LARGEST_SEED}, found {value}")


def _check_fields(hp: Hyperparameters) -> None:
    if not hp.features:
        raise HyperparameterError("tab_field_list or cat_field_list must name at least one feature")
    twice = sorted({name for name in hp.features if hp.features.count(name) > 1})
    if twice:
        raise HyperparameterError(f"duplicate features: {', '.join(twice)}")
    for name in (hp.id_name, hp.label_name):
        if name in hp.features:
            raise HyperparameterError(f"column {name} is the id or the label; it must not be a feature")
    strangers = [name for name in (hp.id_name, hp.label_name, *hp.features) if name not in set(hp.full_field_list)]
    if strangers:
        raise HyperparameterError(f"columns missing from full_field_list: {', '.join(strangers)}")
