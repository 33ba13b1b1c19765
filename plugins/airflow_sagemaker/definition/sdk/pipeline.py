"""From a configuration to a SageMaker pipeline with parameters, steps and definition. Imports the SDK.

`build_pipeline` is for Python programs; operator and command line use `airflow_sagemaker.definition.compiler`, which
runs this module in a child process.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

# First, because it prepares the environment for the SDK's import.
from airflow_sagemaker.definition.sdk.session import SessionUploader, Uploader, completed_config, configured_session

from sagemaker.core.workflow.parameters import ParameterInteger, ParameterString  # isort: skip
from sagemaker.core.workflow.pipeline_context import PipelineSession  # isort: skip
from sagemaker.mlops.workflow.pipeline import Pipeline  # isort: skip
from sagemaker.mlops.workflow.steps import Step  # isort: skip

from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.exceptions import CompileError

StepSource: TypeAlias = "Step | str | Callable[..., Step | Sequence[Step]]"
"""A step of the SDK, a function that returns one or several, or a "module:function" reference to one."""


@dataclass(frozen=True)
class StepContext:
    """The argument of functions that return steps: a kind's, and those in dependencies and followups.

    `variables` are the pipeline's parameters by name, for everything that differs between runs.
    `before` are the steps of the dependencies, which the kind's steps must wait for.
    `uploader` uploads files to S3 under keys that contain their digest.
    `training_step` is the kind's last step, for followups; otherwise None.
    """

    config: BasePipelineConfig
    session: PipelineSession
    variables: Mapping[str, ParameterString | ParameterInteger]
    uploader: Uploader | None = None
    before: Sequence[Step] = ()
    training_step: Step | None = None


def build_pipeline(
    config: BasePipelineConfig,
    *,
    sagemaker_session: PipelineSession | None = None,
    dependencies: Sequence[StepSource] = (),
    followups: Sequence[StepSource] = (),
    uploader: Uploader | None = None,
) -> Pipeline:
    """Return a pipeline that runs the kind's steps between `dependencies` and `followups`.

    Both accept SDK steps, functions that return one or several steps, and "module:function" references; a function may
    take a StepContext. The configuration's `dependencies` and `followups` come first. Parameters have no defaults:
    every start sets `config.pipeline_parameters()`.
    """
    variables = {
        name: ParameterInteger(name=name) if kind == "Integer" else ParameterString(name=name)
        for name, kind in config.parameter_types().items()
    }
    session = sagemaker_session or configured_session(config)
    config = completed_config(config, session)
    context = StepContext(config, session, variables, uploader or SessionUploader(session))
    before = _build_steps([*config.dependencies, *dependencies], context)
    own = _build_steps([config.steps], replace(context, before=before))
    after = _build_steps([*config.followups, *followups], replace(context, before=before, training_step=own[-1]))
    return Pipeline(
        name=config.pipeline_name,
        parameters=list(variables.values()),
        steps=[*before, *own, *after],
        sagemaker_session=session,
        # The SDK's default would create an experiment for each execution, and only in some regions.
        pipeline_experiment_config=None,
    )


def canonical_definition(pipeline: Pipeline) -> str:
    """Return the definition as JSON with sorted keys and no spaces: equal pipelines have equal bytes."""
    content = {name: value for name, value in json.loads(pipeline.definition()).items() if value is not None}
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _build_steps(sources: Sequence[StepSource], context: StepContext) -> list[Step]:
    steps: list[Step] = []
    for source in sources:
        made = _build_step(source, context)
        steps.extend(made if isinstance(made, list | tuple) else [made])
    return steps


def _build_step(source: StepSource, context: StepContext) -> Step | Sequence[Step]:
    function = _import_function(source) if isinstance(source, str) else source
    if not callable(function) or isinstance(function, Step):
        return function
    takes_context = bool(inspect.signature(function).parameters)
    return function(context) if takes_context else function()


def _import_function(reference: str) -> Callable[..., Step | Sequence[Step]]:
    module, _, name = reference.partition(":")
    try:
        found: Callable[..., Step | Sequence[Step]] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CompileError(f"{reference!r} cannot be imported as module:function: {error}") from error
    return found
