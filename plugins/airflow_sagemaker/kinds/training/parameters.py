"""Names and types of the pipeline's parameters: the same on the side that compiles and on the side that starts."""

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
    """Return each parameter's type by name, in order. None has a default: each start gives all values.

    Hyperparameters are strings that hold JSON, because a number would reach CreateTrainingJob bare, which takes text.
    """
    kinds = dict.fromkeys(STRINGS, "String") | {INSTANCE_COUNT: "Integer"}
    return kinds | {parameter_name(field): "String" for field in scalars}
