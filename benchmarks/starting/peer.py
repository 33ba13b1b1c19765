"""Starts with the SDK: build, `upsert()`, `start()`, once per partition. `peer.py SPEC.json`; JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main(spec: dict[str, Any]) -> dict[str, Any]:
    begun = time.monotonic()
    import boto3
    from sagemaker.core.shapes import CheckpointConfig, OutputDataConfig
    from sagemaker.core.workflow.parameters import ParameterString
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    from sagemaker.mlops.workflow.pipeline import Pipeline
    from sagemaker.mlops.workflow.steps import TrainingStep
    from sagemaker.train.configs import Compute, InputData, SourceCode
    from sagemaker.train.model_trainer import ModelTrainer

    imported = time.monotonic() - begun
    session = PipelineSession(
        boto_session=boto3.Session(region_name="us-east-1"),
        sagemaker_config={
            "SchemaVersion": "1.0",
            "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
        },
        default_bucket=spec["bucket"],
    )
    seconds = []
    for partition in spec["partitions"]:
        begun = time.monotonic()
        base = f"s3://{spec['bucket']}/sdk"
        path = ParameterString("InputPath", default_value=f"{base}/input/{partition}")
        trainer = ModelTrainer(
            sagemaker_session=session,
            role=spec["role"],
            training_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
            base_job_name="sdk",
            source_code=SourceCode(source_dir=spec["source"], entry_script="train.py"),
            compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
            output_data_config=OutputDataConfig(s3_output_path=f"{base}/output"),
            checkpoint_config=CheckpointConfig(s3_uri=f"{base}/checkpoints"),
            hyperparameters={"epochs": 600},
        )
        arguments = trainer.train(
            input_data_config=[InputData(channel_name=name, data_source=path) for name in ("train", "val", "test")],
            wait=False,
        )
        pipeline = Pipeline(
            name="sdk-loop",
            parameters=[path],
            steps=[TrainingStep(name="Train", step_args=arguments)],
            sagemaker_session=session,
        )
        pipeline.upsert(role_arn=spec["role"])
        pipeline.start(parameters={"InputPath": f"{base}/input/{partition}"})
        seconds.append(round(time.monotonic() - begun, 2))
    return {"import_seconds": round(imported, 2), "seconds_each": seconds}


if __name__ == "__main__":
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    out, sys.stdout = sys.stdout, sys.stderr
    out.write(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))) + "\n")
