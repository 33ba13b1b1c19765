"""The pipeline of sdk_whole_pipeline.py, written with SDK v2: a user's script, run by an interpreter that has it.

Usage: sdk2_whole_pipeline.py NAME ROLE BUCKET IMAGE QUEUE FUNCTION, AWS_* variables name the service.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model
from sagemaker.parameter import ContinuousParameter
from sagemaker.processing import ProcessingOutput, ScriptProcessor
from sagemaker.tuner import HyperparameterTuner
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.retry import SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy
from sagemaker.workflow.steps import ProcessingStep, TrainingStep, TuningStep
from sdk_last_steps import last_steps

PREPARE = 'from pathlib import Path\n\nPath("/opt/ml/processing/rows/rows.csv").write_text("1\\n2\\n")\n'
INSTANCE = "ml.m5.large"
OPT_OUT = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
LOSS = {"Name": "loss", "Regex": "loss=([0-9.]+)"}


def main(name: str, role: str, bucket: str, image: str, queue: str, function: str) -> None:
    """Create it."""
    session = PipelineSession(default_bucket=bucket, sagemaker_config=OPT_OUT)
    lost = SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR], interval_seconds=1, max_attempts=5
    )
    Path("prepare.py").write_text(PREPARE)

    processor = ScriptProcessor(
        role=role, image_uri=image, command=["python3"], instance_count=1, instance_type=INSTANCE,
        base_job_name="prepare", sagemaker_session=session,
    )  # fmt: skip
    output = ProcessingOutput(output_name="rows", source="/opt/ml/processing/rows", destination=f"s3://{bucket}/rows")
    prepare = ProcessingStep(
        name="Prepare", step_args=processor.run(code="prepare.py", outputs=[output]), retry_policies=[lost]
    )
    rows = prepare.properties.ProcessingOutputConfig.Outputs["rows"].S3Output.S3Uri

    def estimator(**hyperparameters: object) -> Estimator:
        return Estimator(
            image_uri=image, role=role, instance_count=1, instance_type=INSTANCE, volume_size=5, max_run=600,
            output_path=f"s3://{bucket}/models", sagemaker_session=session, hyperparameters=hyperparameters,
            metric_definitions=[LOSS],
        )  # fmt: skip

    tuner = HyperparameterTuner(
        estimator=estimator(mode="run"),
        objective_metric_name="loss",
        objective_type="Minimize",
        hyperparameter_ranges={"rate": ContinuousParameter(0.1, 1.0)},
        metric_definitions=[LOSS],
        max_jobs=3,
        max_parallel_jobs=1,
    )
    tune = TuningStep(name="Tune", step_args=tuner.fit(inputs={"rows": TrainingInput(rows)}))
    best = TrainingInput(tune.get_top_model_s3_uri(0, bucket, "models"))
    train = TrainingStep(
        name="Train", step_args=estimator(rate="0.25").fit(inputs={"best": best}), retry_policies=[lost]
    )

    model = Model(
        image_uri=image, model_data=train.properties.ModelArtifacts.S3ModelArtifacts, role=role,
        sagemaker_session=session,
    )  # fmt: skip
    check = last_steps(name, session, model, train, queue, function)
    pipeline = Pipeline(name=name, steps=[prepare, tune, train, check], sagemaker_session=session)
    pipeline.upsert(role_arn=role)


if __name__ == "__main__":
    main(*sys.argv[1:])
