"""Makes real CreateTrainingJob requests with the SDK's ModelTrainer and uploads what it ships; a child process.

Usage: sdk_requests.py SOURCE_DIR BUCKET; prints one JSON object of requests by name.
AWS_* variables name the S3 server.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"


def main(source_dir: str, bucket: str) -> None:
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import (
        CheckpointConfig,
        Compute,
        InputData,
        MetricDefinition,
        OutputDataConfig,
        SourceCode,
    )
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    from sagemaker.mlops.workflow.steps import TrainingStep
    from sagemaker.train import ModelTrainer
    from sagemaker.train.distributed import Torchrun

    logging.disable(logging.CRITICAL)
    Session.default_bucket = lambda self: bucket  # it asks for every bucket of the account otherwise
    opt_out = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
    session = PipelineSession(default_bucket=bucket, sagemaker_config=opt_out)

    trained = {"entry_script": "train.py", "requirements": "requirements.txt"}

    def request(name: str, distributed: Any, hosts: int, **code: str) -> dict[str, Any]:
        trainer = ModelTrainer(
            sagemaker_session=session,
            role="arn:aws:iam::123456789012:role/LocalSageMakerRole",
            base_job_name=name,
            training_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
            source_code=SourceCode(source_dir=source_dir, **code or trained),
            distributed=distributed,
            compute=Compute(instance_type="ml.m5.large", instance_count=hosts, volume_size_in_gb=5),
            hyperparameters={"learning_rate": 0.25, "names": ["a b", "c"], "label": "late"},
            output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/sdk-out"),
            checkpoint_config=CheckpointConfig(s3_uri=f"s3://{bucket}/sdk-checkpoints/{name}"),
        ).with_metric_definitions([MetricDefinition(name="Train Loss", regex=r"^Train Loss: ([0-9.]+)")])
        channels = [InputData(channel_name="train", data_source=f"s3://{bucket}/sdk-in/train.txt")]
        arguments = TrainingStep(
            name="Train", step_args=trainer.train(input_data_config=channels, wait=False)
        ).arguments
        return json.loads(json.dumps(arguments, default=str))

    requests = {
        "plain": request("plain", None, 1),
        "torchrun": request("torchrun", Torchrun(process_count_per_node=2), 1),
        "torchrun_two_hosts": request("torchrun-two-hosts", Torchrun(process_count_per_node=1), 2),
        "driver": request("driver", None, 1, entry_script="wait.py"),
        "command": request("command", None, 1, command="exec python3 wait.py"),
    }
    print(json.dumps(requests))


if __name__ == "__main__":
    main(*sys.argv[1:])
