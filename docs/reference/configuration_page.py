"""The page configuration.md, generated from the models; `generate.py` writes it."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.kinds.scoring.config import PytorchScoringConfig
from airflow_sagemaker.kinds.training import parameters
from airflow_sagemaker.kinds.training.config import PytorchTrainingConfig
from airflow_sagemaker.kinds.training.extra_arguments import MANAGED
from airflow_sagemaker.kinds.training.groups import ProfilerRule, ProfilerSettings, RetryPolicySettings
from airflow_sagemaker.kinds.training.hyperparameters import ModelHyperparameters

SECTIONS: tuple[tuple[type[BaseModel], str], ...] = (
    (BasePipelineConfig, "Settings of all kinds of pipelines."),
    (PytorchTrainingConfig, "The training. It also has the settings above."),
    (PytorchScoringConfig, "The scoring. It also has the settings of `BasePipelineConfig`."),
    (ModelHyperparameters, "`hyperparameters`. Scalars are pipeline parameters; the lists are part of the definition."),
    (ProfilerSettings, "`profiler`."),
    (ProfilerRule, "One entry of `profiler.rules_to_run`."),
    (RetryPolicySettings, "One entry of `retry_policies`."),
)
HEAD = """# Configuration

<!-- Written by docs/reference/generate.py; a test compares it with the code. Do not edit. -->

All settings of a configuration, which is given as keyword arguments, a dict (`from_dict`) or a YAML file
(`from_yaml`). Unknown names, wrong types and violated rules are reported together in one `ConfigurationError`. To check
a file, run `python -m airflow_sagemaker validate FILE`.
"""


def configuration_page() -> str:
    """Return the page."""
    parts = [HEAD]
    for model, text in SECTIONS:
        parts.append(f"\n## {model.__name__}\n\n{text}\n\n{_settings_table(model)}")
    names = ", ".join(f"`{name}`" for name in parameters.parameter_types([]))
    parts.append(
        "\n## Pipeline parameters\n\n"
        f"Every start of the pipeline sets all of them; they have no defaults: {names}, and for each scalar\n"
        "hyperparameter `Hyperparameter<Name>`, a string with JSON: `HyperparameterLearningRate` is `0.001`,\n"
        '`HyperparameterLabelName` is `"late"` with the quotes.\n'
    )
    managed = "\n".join(f"| `{path}` | {reason} |" for path, reason in MANAGED.items())
    parts.append(
        "\n## What extra_arguments must not contain\n\nAll other arguments of CreateTrainingJob are allowed.\n\n"
        f"| Argument | Why |\n|---|---|\n{managed}\n"
    )
    return "".join(parts)


def _settings_table(model: type[BaseModel]) -> str:
    inherited = BasePipelineConfig.model_fields if model in (PytorchTrainingConfig, PytorchScoringConfig) else {}
    rows = [
        f"| `{name}` | {_type_name(info.annotation)}{_limits_text(info)} | {_default_text(info)} | {info.description} |"
        for name, info in model.model_fields.items()
        if name not in inherited
    ]
    return "| Setting | Type | Default | Meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(item) for item in arguments if item is not type(None))
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"mapping of {_type_name(arguments[0])} to {_type_name(arguments[1])}"
    if annotation is Any:
        return "anything"
    words = {str: "string", int: "integer", float: "number", bool: "true or false"}
    return words.get(annotation) or f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def _limits_text(info: FieldInfo) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "at least", "max_length": "at most"}
    found = [
        f"{sign} {getattr(item, name)}"
        for item in info.metadata
        for name, sign in signs.items()
        if getattr(item, name, None) is not None
    ]
    return f" ({', '.join(found)})" if found else ""


def _default_text(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default_factory is not None:
        words = {"dict": "none", "today_utc": "see meaning", "default_source_dir": "see meaning"}
        return words.get(getattr(info.default_factory, "__name__", ""), "built in")
    if info.default is None or info.default == ():
        return "none"
    return f"`{str(info.default).lower() if isinstance(info.default, bool) else info.default}`"
