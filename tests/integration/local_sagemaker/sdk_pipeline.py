"""A pipeline of the SDK's own classes, from its definition to its end: a user's script, run as a child process.

Usage: sdk_pipeline.py NAME ROLE BUCKET IMAGE, AWS_* variables name the service. Prints one JSON object per execution.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo, ConditionNot
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep
from sagemaker.serve.model_builder import ModelBuilder

SCORE = """
import json, sys
from pathlib import Path

Path("/opt/ml/processing/report/report.json").write_text(json.dumps({"scores": [{"auc": float(sys.argv[1])}]}))
"""
INSTANCE = "ml.m5.large"
OPT_OUT = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


def make_pipeline(name: str, role: str, bucket: str, image: str) -> Pipeline:
    """Score, and register the model if the score is good."""
    session = PipelineSession(default_bucket=bucket, sagemaker_config=OPT_OUT)
    auc = ParameterFloat(name="Auc", default_value=0.9)
    processor = ScriptProcessor(
        role=role, image_uri=image, command=["python3"], instance_count=1, instance_type=INSTANCE,
        base_job_name="score", sagemaker_session=session,
    )  # fmt: skip
    Path("score.py").write_text(SCORE)
    place = ProcessingS3Output(
        s3_uri=f"s3://{bucket}/{name}/report", local_path="/opt/ml/processing/report", s3_upload_mode="EndOfJob"
    )
    report = PropertyFile(name="Report", output_name="report", path="report.json")
    score = ProcessingStep(
        name="Score",
        step_args=processor.run(
            code="score.py",
            outputs=[ProcessingOutput(output_name="report", s3_output=place)],
            arguments=[auc.to_string()],
        ),
        property_files=[report],
    )
    found = JsonGet(step_name=score.name, property_file=report, json_path="scores[0].auc")
    model = ModelBuilder(
        image_uri=image, s3_model_data_url=f"s3://{bucket}/model.tar.gz", role_arn=role, sagemaker_session=session
    )
    register = ModelStep(
        name="Register",
        step_args=model.register(
            model_package_group_name=name,
            content_types=["text/csv"],
            response_types=["text/csv"],
            inference_instances=[INSTANCE],
            transform_instances=[INSTANCE],
            approval_status="PendingManualApproval",
        ),
    )
    message = Join(on=" ", values=["an AUC of", auc, "is too low"])
    check = ConditionStep(
        name="GoodEnough",
        conditions=[
            ConditionGreaterThanOrEqualTo(left=found, right=0.6),
            ConditionNot(ConditionGreaterThanOrEqualTo(left=found, right=1.0)),
        ],
        if_steps=[register],
        else_steps=[FailStep(name="TooLow", error_message=message)],
    )
    return Pipeline(name=name, parameters=[auc], steps=[score, check], sagemaker_session=session)


def main(name: str, role: str, bucket: str, image: str) -> None:
    """Create it, update it, and run it once for each branch."""
    pipeline = make_pipeline(name, role, bucket, image)
    for _ in range(2):  # the second upsert finds the pipeline and updates it
        pipeline.upsert(role_arn=role)
    for auc in (0.9, 0.1):
        execution = pipeline.start(parameters={"Auc": auc})
        try:
            execution.wait(delay=1, max_attempts=3600)
        except Exception as error:  # a failed execution ends the SDK's waiter so
            print("waiter:", error, file=sys.stderr)
        steps = {step["StepName"]: step for step in execution.list_steps()}
        status = execution.describe()["PipelineExecutionStatus"]
        print(json.dumps({"status": status, "steps": steps}, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
