"""Which images the job Python stands in for, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.requests.images import Images


@pytest.mark.parametrize(
    "image",
    [
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
        "763104351884.dkr.ecr.eu-central-1.amazonaws.com/pytorch-inference:2.6.0-gpu-py312-cu124-ubuntu22.04-sagemaker",
        "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-training:2.10-gpu-py313",
        "446045086412.dkr.ecr.us-gov-west-1.amazonaws.com/pytorch-training:2.5.1",
        "763104351884.dkr.ecr-fips.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
        "763104351884.dkr-ecr.us-east-1.on.aws/pytorch-training:2.10-cpu-py313",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mirror/aws/pytorch-training@sha256:0123456789abcdef",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/pytorch-training",
    ],
)
def test_pytorch_containers_of_every_partition_and_account_run(image: str) -> None:
    assert Images().allow(image)


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1", "*/sagemaker-xgboost:*"),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.19-cpu-py312", "*/tensorflow-training:*"),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training-neuronx:2.1", "*/pytorch-training-neuronx:*"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/my-pytorch-training:1", "*/my-pytorch-training:*"),
        ("example.com/pytorch-training:1", "*/pytorch-training:*"),
        ("mine:5000/tools/trainer@sha256:01", "*/trainer*"),
        ("trainer", "*trainer*"),
    ],
)
def test_another_image_is_refused_with_the_option_that_allows_it(image: str, pattern: str) -> None:
    training: dict[str, Any] = {"AlgorithmSpecification": {"TrainingImage": image}}
    (said,) = Images().refusals("CreateTrainingJob", training)
    assert said.startswith(f"AlgorithmSpecification.TrainingImage '{image}' is not supported")
    assert "pytorch, pytorch-training, pytorch-inference" in said
    assert said.endswith(f"serve --image '{pattern}'")
    assert not list(Images((pattern,)).refusals("CreateTrainingJob", training))

    (said,) = Images().refusals("CreateProcessingJob", {"AppSpecification": {"ImageUri": image}})
    assert said.startswith(f"AppSpecification.ImageUri '{image}' is not supported")


@pytest.mark.parametrize("image", [{"Get": "Parameters.TrainingImage"}, None, 3])
def test_an_image_that_is_not_known_yet_is_left_alone(image: Any) -> None:
    assert not list(Images().refusals("CreateTrainingJob", {"AlgorithmSpecification": {"TrainingImage": image}}))
    assert not list(Images().refusals("CreateTrainingJob", {"AlgorithmSpecification": image}))
    assert not list(Images().refusals("CreateModel", {"PrimaryContainer": {"Image": "any"}}))
