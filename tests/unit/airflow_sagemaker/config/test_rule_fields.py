"""What a rule is typed to read are the fields of the model that it checks, with the same types."""

from __future__ import annotations

import typing

import pytest

from airflow_sagemaker import ModelHyperparameters, PytorchScoringConfig, PytorchTrainingConfig
from airflow_sagemaker.config.rules import CommonFields
from airflow_sagemaker.config.strict_model import StrictModel
from airflow_sagemaker.kinds.scoring import config as scoring
from airflow_sagemaker.kinds.training import groups, hyperparameters, rules

READ = [
    (CommonFields, PytorchTrainingConfig),
    (CommonFields, PytorchScoringConfig),
    (rules.TrainingFields, PytorchTrainingConfig),
    (rules.ShippedFields, PytorchTrainingConfig),
    (scoring._Fields, PytorchScoringConfig),
    (groups._RetryFields, groups.RetryPolicySettings),
    (hyperparameters._Fields, ModelHyperparameters),
]


@pytest.mark.parametrize(("read", "model"), READ)
def test_a_rule_reads_fields_that_there_are(read: type, model: type[StrictModel]) -> None:
    fields = typing.get_type_hints(model)
    wrong = {name: kind for name, kind in typing.get_type_hints(read).items() if fields.get(name) != kind}
    assert wrong == {}
    methods = [name for name in vars(read) if isinstance(vars(read)[name], property)]
    assert [name for name in methods if not hasattr(model, name)] == []


@pytest.mark.parametrize("model", sorted({model for _, model in READ}, key=str))
def test_a_rule_names_what_it_reads(model: type[StrictModel]) -> None:
    """Every field that rules depend on (`reads_fields`) is one of the model's."""
    named = {name for rule in model.all_rules() for name in getattr(rule, "fields", ())}
    assert named - set(model.model_fields) == set()
