"""Which regexes of metrics are warned of."""

from __future__ import annotations

import pytest

from airflow_sagemaker.kinds.training.groups import default_metric_definitions
from airflow_sagemaker.kinds.training.metric_regexes import slow_metric_warnings


@pytest.mark.parametrize("regex", ["^(a+)+$", "(?:x*y?)*z", "loss=((?:[0-9]+)*)", "(a|(b+)){2,}", "(?=(a+)*)b"])
def test_a_repeat_of_a_repeat_is_named(regex: str) -> None:
    (warning,) = slow_metric_warnings({"Loss": regex})
    assert warning.startswith(f"metric_definitions.Loss: {regex!r} nests repetitions")


@pytest.mark.parametrize("regex", ["loss=([0-9.]+)", "(a+)?b+", "(?:ab){3}c*", "a+b+c+", "[a+]+", "(a{2,5}){1,3}"])
def test_others_are_not(regex: str) -> None:
    assert slow_metric_warnings({"Loss": regex, **default_metric_definitions()}) == []
