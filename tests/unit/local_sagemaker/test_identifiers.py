"""Names of jobs that steps create."""

from __future__ import annotations

from local_sagemaker import service_model
from local_sagemaker.identifiers import step_job_name


def test_job_names_fit() -> None:
    name = step_job_name("abcdefghijkl", "A_long_" * 9)
    assert len(name) <= 63
    assert name.startswith("pipelines-abcdefghijkl-A-long-")
    assert not list(
        service_model.violations(service_model.input_shape("CreateTrainingJob").members["TrainingJobName"], name)
    )


def test_the_names_of_tuning_jobs_fit() -> None:
    name = step_job_name("abcdefghijkl", "A_long_" * 9, most=32)
    assert len(name) <= 32
    assert name.startswith("abcdefghijkl-A-long-")
    member = service_model.input_shape("CreateHyperParameterTuningJob").members["HyperParameterTuningJobName"]
    assert not list(service_model.violations(member, name))
