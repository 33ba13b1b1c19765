"""One pipeline with nearly every type of step, written with SDK v3: a user's script, run as a child process.

Usage: sdk_whole_pipeline.py NAME ROLE BUCKET IMAGE QUEUE FUNCTION, AWS_* variables name the service.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sagemaker.core.parameter import ContinuousParameter
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.training.configs import (
    Compute,
    InputData,
    MetricDefinition,
    OutputDataConfig,
    SourceCode,
    StoppingCondition,
)
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep, TuningStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner
from sdk_last_steps import last_steps

PREPARE = 'from pathlib import Path\n\nPath("/opt/ml/processing/rows/rows.csv").write_text("1\\n2\\n")\n'
TRAIN = """
import os
from pathlib import Path

assert list(Path(os.environ["SM_CHANNEL_BEST"]).glob("**/model.tar.gz")), "the best trial's model is not here"
print("loss=0.25")
Path(os.environ["SM_MODEL_DIR"], "weights").write_text("w")
"""
INSTANCE = "ml.m5.large"
OPT_OUT = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
LOSS = MetricDefinition(name="loss", regex="loss=([0-9.]+)")


def main(name: str, role: str, bucket: str, image: str, queue: str, function: str) -> None:
    """Create it."""
    session = PipelineSession(default_bucket=bucket, sagemaker_config=OPT_OUT)
    lost = SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR], interval_seconds=1, max_attempts=5
    )
    Path("prepare.py").write_text(PREPARE)
    Path("source").mkdir()
    Path("source/train.py").write_text(TRAIN)

    processor = ScriptProcessor(
        role=role, image_uri=image, command=["python3"], instance_count=1, instance_type=INSTANCE,
        base_job_name="prepare", sagemaker_session=session,
    )  # fmt: skip
    place = ProcessingS3Output(
        s3_uri=f"s3://{bucket}/rows", local_path="/opt/ml/processing/rows", s3_upload_mode="EndOfJob"
    )
    output = ProcessingOutput(output_name="rows", s3_output=place)
    prepare = ProcessingStep(
        name="Prepare", step_args=processor.run(code="prepare.py", outputs=[output]), retry_policies=[lost]
    )
    rows = prepare.properties.ProcessingOutputConfig.Outputs["rows"].S3Output.S3Uri

    def trainer(**more: object) -> ModelTrainer:
        return ModelTrainer(
            sagemaker_session=session, role=role, base_job_name="whole", training_image=image,
            compute=Compute(
                instance_type=INSTANCE, instance_count=1, volume_size_in_gb=5, enable_managed_spot_training=False
            ),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
            output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/models"), **more,
        )  # fmt: skip

    tuner = HyperparameterTuner(
        model_trainer=trainer(hyperparameters={"mode": "run"}),
        objective_metric_name="loss",
        objective_type="Minimize",
        hyperparameter_ranges={"rate": ContinuousParameter(0.1, 1.0)},
        metric_definitions=[{"Name": LOSS.name, "Regex": LOSS.regex}],
        max_jobs=3,
        max_parallel_jobs=1,
    )
    tune = TuningStep(name="Tune", step_args=tuner.tune(inputs=[InputData(channel_name="rows", data_source=rows)]))
    best = InputData(channel_name="best", data_source=tune.get_top_model_s3_uri(0, bucket, "models"))
    source = SourceCode(source_dir="source", entry_script="train.py")
    train = TrainingStep(
        name="Train",
        step_args=trainer(source_code=source)
        .with_metric_definitions([LOSS])
        .train(input_data_config=[best], wait=False),
        retry_policies=[lost],
    )

    model = ModelBuilder(
        image_uri=image, s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts, role_arn=role,
        sagemaker_session=session,
    )  # fmt: skip
    check = last_steps(name, session, model, train, queue, function)
    pipeline = Pipeline(name=name, steps=[prepare, tune, train, check], sagemaker_session=session)
    pipeline.upsert(role_arn=role)


if __name__ == "__main__":
    main(*sys.argv[1:])
