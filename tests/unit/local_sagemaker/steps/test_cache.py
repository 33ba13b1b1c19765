"""The step cache's keys."""

from __future__ import annotations

from local_sagemaker import service_model
from local_sagemaker.steps import cache
from local_sagemaker.steps.request_steps import JobStep
from local_sagemaker.steps.step_types import STEP_TYPES


def test_cache_key_is_for_one_step_of_one_pipeline() -> None:
    key = cache.key("p", "s", "Training", {"HyperParameters": {"a": "1", "b": "2"}})
    assert key == cache.key("p", "s", "Training", {"HyperParameters": {"b": "2", "a": "1"}})
    assert key != cache.key("p", "s", "Training", {"HyperParameters": {"a": "2", "b": "2"}})
    assert key != cache.key("q", "s", "Training", {"HyperParameters": {"a": "1", "b": "2"}})


def test_cache_key_compares_what_the_guide_lists() -> None:
    compared = {entry.creates: entry.cached_by for entry in STEP_TYPES.values() if isinstance(entry, JobStep)}
    assert "HyperParameters" in compared["CreateTrainingJob"]
    for action, members in compared.items():
        assert set(members) <= set(service_model.input_shape(action).members)
        assert not {"OutputDataConfig", "ResourceConfig", "ProcessingOutputConfig", "ProcessingResources"} & {*members}
