"""The kind that trains a PyTorch model: its configuration, rules, hyperparameters and step."""

CONFIG = "airflow_sagemaker.kinds.training.config:PytorchTrainingConfig"
