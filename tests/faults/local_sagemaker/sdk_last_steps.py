"""What follows the training in sdk_whole_pipeline.py and sdk2_whole_pipeline.py: only the modules differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

try:
    from sagemaker.core.lambda_helper import Lambda
    from sagemaker.core.workflow.conditions import ConditionLessThanOrEqualTo
    from sagemaker.mlops.workflow.callback_step import CallbackOutput, CallbackOutputTypeEnum, CallbackStep
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep
    from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
    from sagemaker.mlops.workflow.model_step import ModelStep
except ImportError:  # SDK v2
    from sagemaker.lambda_helper import Lambda
    from sagemaker.workflow.callback_step import CallbackOutput, CallbackOutputTypeEnum, CallbackStep
    from sagemaker.workflow.condition_step import ConditionStep
    from sagemaker.workflow.conditions import ConditionLessThanOrEqualTo
    from sagemaker.workflow.fail_step import FailStep
    from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
    from sagemaker.workflow.model_step import ModelStep

INSTANCE = "ml.m5.large"


def last_steps(name: str, session: Any, model: Any, train: Any, queue: str, function: str) -> Any:
    """Register the model if its loss is low, ask by a callback, and call a function; else fail."""
    register = ModelStep(
        name="Register",
        step_args=model.register(
            model_package_group_name=name, content_types=["text/csv"], response_types=["text/csv"],
            inference_instances=[INSTANCE], transform_instances=[INSTANCE], approval_status="PendingManualApproval",
        ),
    )  # fmt: skip
    answer = CallbackOutput(output_name="answer", output_type=CallbackOutputTypeEnum.String)
    package = register.properties.ModelPackageArn
    ask = CallbackStep(name="Ask", sqs_queue_url=queue, inputs={"package": package}, outputs=[answer])
    call = LambdaStep(
        name="Call",
        lambda_func=Lambda(function_arn=function, session=session),
        inputs={"file": str(Path("calls").absolute()), "answer": ask.properties.Outputs["answer"]},
        outputs=[LambdaOutput(output_name="good", output_type=LambdaOutputTypeEnum.Integer)],
    )
    return ConditionStep(
        name="GoodEnough",
        conditions=[ConditionLessThanOrEqualTo(left=train.properties.FinalMetricDataList["loss"].Value, right=0.5)],
        if_steps=[register, ask, call],
        else_steps=[FailStep(name="TooBad", error_message="the loss is too high")],
    )
