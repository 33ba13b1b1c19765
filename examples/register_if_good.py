"""Register the model only if its validation AUC exceeds a threshold; otherwise fail the pipeline with a message.

Add the function to the configuration, with this file's folder on Python's path:

    followups: ["register_if_good:register_if_good"]

It runs in the compile process. `context.training_step` is the training step, whose properties get their values during
the execution; `context.variables` are the pipeline's parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from sagemaker.core.workflow.conditions import ConditionGreaterThan
from sagemaker.core.workflow.functions import Join
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.steps import Step, StepTypeEnum

if TYPE_CHECKING:
    from airflow_sagemaker.definition.sdk.pipeline import StepContext

THRESHOLD = 0.6
METRIC = "Validation AUC ROC"
MODEL_GROUP = "flight-delay"
SERVING_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6-cpu-py312"
"""URI of the container that serves the model, in the pipeline's region. This is the newest PyTorch inference container
that the SageMaker SDK lists; its security patches ended on 2026-06-30, so use the URI of a supported one.
"""


def register_if_good(context: StepContext) -> ConditionStep:
    """Return the condition step."""
    auc = context.training_step.properties.FinalMetricDataList[METRIC].Value
    message = Join(
        on=" ", values=[METRIC, "was not above", str(THRESHOLD), "for the model in", context.variables["OutputPath"]]
    )
    return ConditionStep(
        name="GoodEnough",
        conditions=[ConditionGreaterThan(left=auc, right=THRESHOLD)],
        if_steps=[RegisterModel(context)],
        else_steps=[FailStep(name="NotGoodEnough", error_message=message)],
        depends_on=[context.training_step],
    )


class RegisterModel(Step):
    """A RegisterModel step with literal arguments of CreateModelPackage, so that building it does not call AWS."""

    def __init__(self, context: StepContext) -> None:
        super().__init__(name="Register", step_type=StepTypeEnum.REGISTER_MODEL)
        self._model_data = context.training_step.properties.ModelArtifacts.S3ModelArtifacts

    @property
    def arguments(self) -> dict[str, Any]:
        """The request of CreateModelPackage."""
        return {
            "ModelPackageGroupName": MODEL_GROUP,
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": SERVING_IMAGE, "ModelDataUrl": self._model_data}],
                "SupportedContentTypes": ["application/json", "text/csv"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        }

    @property
    def properties(self) -> NoReturn:
        """Not supported: no other step refers to this one."""
        raise AttributeError("the Register step has no properties")
