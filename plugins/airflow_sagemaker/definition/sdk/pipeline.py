"""A configuration as a whole SageMaker pipeline: parameters, steps, definition. Imports the SDK.

`build_pipeline` is for Python programs; the operator and the command line go through
`airflow_sagemaker.definition.compiler`, which runs this module in a process of its own.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# First, because it prepares the environment for the SDK's import.
from airflow_sagemaker.definition.sdk.step_builder import PyTorchTrainingStepBuilder

from sagemaker.core.workflow.parameters import ParameterInteger, ParameterString  # isort: skip
from sagemaker.core.workflow.pipeline_context import PipelineSession  # isort: skip
from sagemaker.mlops.workflow.pipeline import Pipeline  # isort: skip
from sagemaker.mlops.workflow.steps import ProcessingStep, Step  # isort: skip

from airflow_sagemaker.config import pipeline_parameters as parameters
from airflow_sagemaker.config.training import PytorchTrainingConfig
from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import CompileError


@dataclass(frozen=True)
class StepContext:
    """What a function that makes a step of its own is given.

    `variables` are the pipeline's parameters by name: use them for whatever differs from run to run.
    `training_step` is the training step for functions whose steps come after it, else None.
    """

    config: PytorchTrainingConfig
    session: PipelineSession
    variables: Mapping[str, Any]
    training_step: Step | None = None


def build_pipeline(
    config: PytorchTrainingConfig,
    *,
    sagemaker_session: PipelineSession | None = None,
    dependencies: Sequence[Any] = (),
    followups: Sequence[Any] = (),
    uploader: Any = None,
) -> Pipeline:
    """Return a pipeline whose training step runs between `dependencies` and `followups`.

    Both take SDK steps, functions that return a step or several, or "module:function"; a function may take a
    StepContext. The steps of the configuration's own `dependencies` and `followups` come first. Parameters have no
    default: every start gives `config.pipeline_parameters()`.

    A ProcessingStep of `dependencies` that has an output named like each channel (train, val, test) feeds them: the
    channels refer to these outputs instead of to places below InputPath.
    """
    kinds = parameters.parameter_types(config.hyperparameters.scalars())
    variables = {
        name: ParameterInteger(name=name) if kind == "Integer" else ParameterString(name=name)
        for name, kind in kinds.items()
    }
    builder = PyTorchTrainingStepBuilder(config, sagemaker_session, variables=variables, uploader=uploader)
    config = builder.completed_config()
    context = StepContext(config, builder.session, variables)
    before = _build_steps([*config.dependencies, *dependencies], context)
    training = builder.create_step(dependencies=before, channel_folders=_channel_folders(before))
    context = StepContext(config, builder.session, variables, training)
    after = _build_steps([*config.followups, *followups], context)
    return Pipeline(
        name=config.pipeline_name,
        parameters=list(variables.values()),
        steps=[*before, training, *after],
        sagemaker_session=builder.session,
        # The SDK's default would make an experiment for each execution, in some regions only.
        pipeline_experiment_config=None,
    )


def canonical_definition(pipeline: Pipeline) -> str:
    """Return the definition as JSON with sorted keys and no blanks: equal pipelines give equal bytes."""
    content = {name: value for name, value in json.loads(pipeline.definition()).items() if value is not None}
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _channel_folders(steps: Sequence[Any]) -> dict[str, Any]:
    """Return the outputs, by reference, of the last step that writes every channel; nothing when there is none."""
    for step in reversed(steps):
        if not isinstance(step, ProcessingStep):
            continue
        written = step.properties.ProcessingOutputConfig.Outputs
        names = {item["OutputName"] for item in step.arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])}
        if names.issuperset(CHANNELS):
            return {channel: written[channel].S3Output.S3Uri for channel in CHANNELS}
    return {}


def _build_steps(sources: Sequence[Any], context: StepContext) -> list[Any]:
    steps: list[Any] = []
    for source in sources:
        made = _build_step(source, context)
        steps.extend(made if isinstance(made, list | tuple) else [made])
    return steps


def _build_step(source: Any, context: StepContext) -> Any:
    function = _import_function(source) if isinstance(source, str) else source
    if not callable(function) or isinstance(function, Step):
        return function
    takes_context = bool(inspect.signature(function).parameters)
    return function(context) if takes_context else function()


def _import_function(reference: str) -> Callable[..., Any]:
    module, _, name = reference.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CompileError(f"{reference!r} cannot be imported as module:function: {error}") from error
    return found
