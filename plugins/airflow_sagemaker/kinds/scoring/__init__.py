"""The kind that scores a partition's rows with a trained model: a Processing job that runs `training.predict`."""

CONFIG = "airflow_sagemaker.kinds.scoring.config:PytorchScoringConfig"
