"""Instance types of SageMaker training, and their processors."""

from __future__ import annotations

import difflib
from functools import cache

from airflow_sagemaker.config.data import load_data


@cache
def training_instance_types() -> frozenset[str]:
    """Return the instance types in the data file, which is generated from botocore's model."""
    return frozenset(load_data("instance_types")["training"])


def instance_type_problem(instance_type: str) -> str:
    """Return why an instance type cannot train, or an empty string.

    A type that is not in the data file is looked up in the installed botocore, which may be newer (takes 0.2 s).
    """
    if instance_type not in training_instance_types() and instance_type not in _newest_instance_types():
        complete = f"ml.{instance_type}"  # EC2's name
        known = sorted(training_instance_types())
        near = [complete] if complete in known else difflib.get_close_matches(instance_type, known, n=1)
        return "is not an instance type of SageMaker training" + (f"; did you mean {near[0]}?" if near else "")
    if processor_of(instance_type) == "neuron":
        return "is a Trainium or Inferentia type, which the PyTorch image does not support"
    return ""


@cache
def _newest_instance_types() -> frozenset[str]:
    import botocore.session

    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType")
    return frozenset(shape.enum)


def processor_of(instance_type: str) -> str:
    """Return `gpu`, `cpu` or `neuron` for an instance type, by its family, as the SDK does."""
    family = instance_type.split(".")[1] if "." in instance_type else instance_type
    if family.startswith(("trn", "inf")):
        return "neuron"
    return "gpu" if family[:1] in ("g", "p") else "cpu"
