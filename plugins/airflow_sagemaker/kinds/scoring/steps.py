"""Builds the scoring step with the SageMaker SDK. Importing this module imports the SDK, which takes seconds."""

from __future__ import annotations

from typing import cast

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.mlops.workflow.steps import ProcessingStep

from airflow_sagemaker.contract import SCORING_STEP
from airflow_sagemaker.definition.sdk.pipeline import StepContext
from airflow_sagemaker.definition.source_files import contents_of, digest_of
from airflow_sagemaker.kinds.scoring.config import PytorchScoringConfig

IN_CONTAINER = "/opt/ml/processing"
PROGRAM = (
    f"set -e; cd {IN_CONTAINER}/input/code; "
    "python3 -m pip install --quiet --disable-pip-version-check -r training/requirements.txt; "
    f'exec python3 -m training.predict {IN_CONTAINER}/input/model/*.tar.gz {IN_CONTAINER}/input/rows "$@"'
)
"""For bash; the program replaces bash, so that it receives the SIGTERM of a stop."""


def scoring_step(context: StepContext) -> ProcessingStep:
    """Return the Processing step that runs `training.predict` over a partition's rows."""
    config = cast("PytorchScoringConfig", context.config)
    values = context.variables
    processor = Processor(
        role=config.jobs_role,
        image_uri=values["ScoringImage"],
        entrypoint=["/bin/bash", "-c", PROGRAM, "score"],
        instance_count=1,
        instance_type=values["InstanceType"],
        volume_size_in_gb=config.scoring_volume_size,
        max_runtime_in_seconds=config.max_runtime_seconds,
        base_job_name=config.pipeline_name,
        tags=[{"Key": key, "Value": value} for key, value in config.tags.items()] or None,
        sagemaker_session=context.session,
    )
    arguments = processor.run(
        inputs=[
            _input("code", _upload_code(context), f"{IN_CONTAINER}/input/code/training"),
            _input("model", values["ModelArtifact"], f"{IN_CONTAINER}/input/model"),
            _input("rows", values["InputPath"], f"{IN_CONTAINER}/input/rows"),
        ],
        outputs=[_output("predictions", values["OutputPath"], f"{IN_CONTAINER}/output/predictions")],
        arguments=[
            f"{IN_CONTAINER}/output/predictions/predictions.parquet",
            "--add", "model", values["ModelName"],
            "--add", "partition", values["Partition"],
        ],
    )  # fmt: skip
    return ProcessingStep(name=SCORING_STEP, step_args=arguments, depends_on=list(context.before) or None)


def _upload_code(context: StepContext) -> str:
    """Upload the program under its digest, so that the definition changes only with the code."""
    config = context.config
    files = contents_of(config.source_dir)
    prefix = f"{config.pipeline_name}/code/{digest_of(files)}"
    assert context.uploader is not None  # noqa: S101 - build_pipeline always sets one
    context.uploader.upload(files, str(config.code_bucket), prefix)
    return f"s3://{config.code_bucket}/{prefix}"


def _input(name: str, uri: PipelineVariable, path: str) -> ProcessingInput:
    source = ProcessingS3Input(s3_uri=uri, local_path=path, s3_data_type="S3Prefix", s3_input_mode="File")
    return ProcessingInput(input_name=name, s3_input=source)


def _output(name: str, uri: PipelineVariable, path: str) -> ProcessingOutput:
    # Uploaded when the program has ended; it writes a complete file or none.
    target = ProcessingS3Output(s3_uri=uri, local_path=path, s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=name, s3_output=target)
