"""Names and types of the pipeline's parameters, for compiling and for starting."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_sagemaker.kinds.training.hyperparameters import parameter_name

INPUT_PATH = "InputPath"
OUTPUT_PATH = "OutputPath"
CHECKPOINT_PATH = "CheckpointPath"
TRAINING_IMAGE = "TrainingImage"
INSTANCE_TYPE = "TrainingInstanceType"
INSTANCE_COUNT = "TrainingInstanceCount"
STRINGS = (INPUT_PATH, OUTPUT_PATH, CHECKPOINT_PATH, TRAINING_IMAGE, INSTANCE_TYPE)


def parameter_types(scalars: Iterable[str]) -> dict[str, str]:
    """Return each parameter's type by name, in order. They have no defaults: each start sets all of them.

    Hyperparameters are strings with JSON, because CreateTrainingJob accepts only strings.
    """
    kinds = dict.fromkeys(STRINGS, "String") | {INSTANCE_COUNT: "Integer"}
    return kinds | {parameter_name(field): "String" for field in scalars}
