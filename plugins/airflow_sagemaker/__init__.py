"""Train PyTorch models on SageMaker Pipelines from Airflow.

Public names are imported on first use, so `import airflow_sagemaker` imports neither Airflow nor the SageMaker SDK, and
a DAG file imports only what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_sagemaker.check_operator import SageMakerTableCheckOperator
    from airflow_sagemaker.config.base import BasePipelineConfig
    from airflow_sagemaker.dag import SageMakerTrainingDag, SageMakerTrainingTaskGroup
    from airflow_sagemaker.kinds.scoring.config import PytorchScoringConfig
    from airflow_sagemaker.kinds.training.config import PytorchTrainingConfig
    from airflow_sagemaker.kinds.training.hyperparameters import ModelHyperparameters
    from airflow_sagemaker.kinds.training.steps import PyTorchTrainingStepBuilder
    from airflow_sagemaker.operators import SageMakerTrainingPipelineOperator
    from airflow_sagemaker.promotion import SageMakerPromoteModelOperator
    from airflow_sagemaker.sensors import SageMakerTrainingPipelineSensor
    from airflow_sagemaker.start.run_config import RUN_PARTITION

__version__ = "0.1.0"

_HOMES = {
    "BasePipelineConfig": "config.base",
    "PytorchScoringConfig": "kinds.scoring.config",
    "PytorchTrainingConfig": "kinds.training.config",
    "ModelHyperparameters": "kinds.training.hyperparameters",
    "PyTorchTrainingStepBuilder": "kinds.training.steps",
    "SageMakerTableCheckOperator": "check_operator",
    "SageMakerTrainingDag": "dag",
    "SageMakerTrainingTaskGroup": "dag",
    "SageMakerPromoteModelOperator": "promotion",
    "SageMakerTrainingPipelineOperator": "operators",
    "SageMakerTrainingPipelineSensor": "sensors",
    "RUN_PARTITION": "start.run_config",
}

__all__ = [
    "RUN_PARTITION",
    "BasePipelineConfig",
    "ModelHyperparameters",
    "PyTorchTrainingStepBuilder",
    "PytorchScoringConfig",
    "PytorchTrainingConfig",
    "SageMakerPromoteModelOperator",
    "SageMakerTableCheckOperator",
    "SageMakerTrainingDag",
    "SageMakerTrainingPipelineOperator",
    "SageMakerTrainingPipelineSensor",
    "SageMakerTrainingTaskGroup",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
