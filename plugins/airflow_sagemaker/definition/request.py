"""What the parent asks of the compile process: the part of a configuration that decides a definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import create_model

from airflow_sagemaker.config.hyperparameters import ModelHyperparameters
from airflow_sagemaker.config.training import PytorchTrainingConfig

# What belongs to one run. The definition must not depend on it, so the compile process never sees it.
RUN_FIELDS = frozenset(
    {"input_path", "output_path", "checkpoint_path", "partition", "training_instance_type", "training_instance_count"}
)


def request_of(config: PytorchTrainingConfig) -> dict[str, Any]:
    """Return the static part of a configuration as plain data."""
    static = config.model_dump(mode="json", exclude={"hyperparameters", "training_image", *RUN_FIELDS})
    static["bucket"] = config.code_bucket
    static["source_dir"] = str(Path(config.source_dir).absolute())  # the compile process has a folder of its own
    if config.training_image:
        static["training_image"] = "given-at-start"  # its value is a parameter; that there is one changes the rules
    scalars = sorted(config.hyperparameters.scalars())
    return {"config": static, "scalars": scalars, "lists": config.hyperparameters.lists()}


def static_settings(config: PytorchTrainingConfig) -> dict[str, Any]:
    """Return the settings that decide a definition, as far as they differ from the defaults.

    So the same configuration has the same static settings in versions of this package that know more settings.
    """
    own = {"hyperparameters", "training_image", "source_dir", *RUN_FIELDS}
    static = config.model_dump(mode="json", exclude=own, exclude_defaults=True)
    static["bucket"] = config.code_bucket
    if config.training_image:
        static["training_image"] = "given-at-start"
    return static


def config_of(request: dict[str, Any]) -> PytorchTrainingConfig:
    """Return a configuration with the request's static part and placeholders for what belongs to a run."""
    lists = request["lists"]
    known = set(ModelHyperparameters.model_fields)
    own: Any = {name: (Any, None) for name in [*request["scalars"], *lists] if name not in known}
    model = create_model("Hyperparameters", __base__=ModelHyperparameters, **own)
    features = {*lists["tab_field_list"], *lists["cat_field_list"]}
    identifier, label = [name for name in lists["full_field_list"] if name not in features][:2]
    hyperparameters = model(id_name=identifier, label_name=label, **lists)
    return PytorchTrainingConfig(**{**request["config"], "hyperparameters": hyperparameters})
