"""The preprocessing as the first step of the pipeline itself: a SageMaker Processing job before the training.

The compile process calls one of the two functions
(`dependencies=["flight_delay.processing_step:preprocess_by_time"]`). The definition contains no date: the pipeline
parameter InputPath ends in the partition. The job reads the raw files that `raw.manifest` in InputPath lists and the
profiles in `previous/` (`extract` writes both), and writes the splits below InputPath. Its outputs have the names of
the training's channels, which are therefore connected to them (see `airflow_sagemaker.definition.sdk.pipeline`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sagemaker.core.shapes import ProcessingInput, ProcessingOutput
    from sagemaker.core.workflow.functions import Join
    from sagemaker.core.workflow.parameters import ParameterString
    from sagemaker.mlops.workflow.steps import ProcessingStep

    from airflow_sagemaker.definition.sdk.pipeline import StepContext

CODE = Path(__file__).resolve().parents[2] / "preprocessing"
IN_CONTAINER = "/opt/ml/processing"
INSTANCE_TYPE = "ml.m5.large"
MAX_SECONDS = 3600
SPLITS = ("train", "val", "test")


def preprocess_by_time(context: StepContext) -> ProcessingStep:
    """Return the ProcessingStep that splits rows by their date."""
    return _preprocess(context, "time")


def preprocess_by_hash(context: StepContext) -> ProcessingStep:
    """Return the ProcessingStep that splits rows by the hash of their id."""
    return _preprocess(context, "hash")


def _preprocess(context: StepContext, split_by: str) -> ProcessingStep:
    """Return the ProcessingStep, which runs the same program as the Airflow task in the training's image."""
    from sagemaker.core.processing import Processor
    from sagemaker.mlops.workflow.steps import ProcessingStep

    splits = context.variables["InputPath"]
    processor = Processor(
        role=context.config.jobs_role,
        image_uri=context.variables["TrainingImage"],
        entrypoint=["/bin/bash", f"{IN_CONTAINER}/input/code/preprocessing/job.sh"],
        instance_count=1,
        instance_type=INSTANCE_TYPE,
        max_runtime_in_seconds=MAX_SECONDS,
        base_job_name=f"{context.config.pipeline_name}-preprocess",
        sagemaker_session=context.session,
    )
    arguments = processor.run(
        inputs=_inputs(context), outputs=_outputs(splits), arguments=[splits, "--split-by", split_by]
    )
    return ProcessingStep(name="Preprocess", step_args=arguments)


def _inputs(context: StepContext) -> list[ProcessingInput]:
    from sagemaker.core.workflow.functions import Join

    from airflow_sagemaker.definition.source_files import contents_of, digest_of

    # The prefix depends on the content only, so that the definition changes only with the code.
    prefix = f"{context.config.pipeline_name}/code/{digest_of(contents_of(CODE))}/preprocessing"
    code = context.session.upload_data(str(CODE), bucket=context.config.code_bucket, key_prefix=prefix)
    manifest = Join(on="/", values=[context.variables["InputPath"], "raw.manifest"])
    previous = Join(on="/", values=[context.variables["InputPath"], "previous"])
    return [
        _input("code", code, f"{IN_CONTAINER}/input/code/preprocessing", "S3Prefix"),
        _input("raw", manifest, f"{IN_CONTAINER}/input/raw", "ManifestFile"),
        _input("previous", previous, f"{IN_CONTAINER}/input/previous", "S3Prefix"),
    ]


def _input(name: str, uri: str | Join, path: str, kind: str) -> ProcessingInput:
    from sagemaker.core.shapes import ProcessingInput, ProcessingS3Input

    source = ProcessingS3Input(s3_uri=uri, local_path=path, s3_data_type=kind, s3_input_mode="File")
    return ProcessingInput(input_name=name, s3_input=source)


def _outputs(splits: ParameterString) -> list[ProcessingOutput]:
    from sagemaker.core.workflow.functions import Join

    below = {split: Join(on="/", values=[splits, split]) for split in SPLITS}
    return [_output(name, uri) for name, uri in {**below, "manifest": splits}.items()]


def _output(name: str, uri: ParameterString | Join) -> ProcessingOutput:
    from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output

    # Uploaded at the end of the job, which fails before it writes incomplete outputs.
    target = ProcessingS3Output(s3_uri=uri, local_path=f"{IN_CONTAINER}/output/{name}", s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=name, s3_output=target)
