"""The request to the compile process: the static part of a configuration, and its kind."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.config.kinds import config_class
from airflow_sagemaker.types import JsonObject

_PACKAGE = __name__.partition(".")[0]


def request_of(config: BasePipelineConfig) -> JsonObject:
    """Return the static part of a configuration as plain data."""
    return {"kind": config.kind_name(), **config.compile_request()}


def config_of(request: JsonObject) -> BasePipelineConfig:
    """Return a configuration with the request's static part, and placeholders for the values of a run."""
    return config_class(request["kind"]).from_compile_request(request)


def modules_needed(config: BasePipelineConfig) -> list[str]:
    """Return the modules outside this package that determine a definition: of its kind and its references to steps."""
    kind = [name for name in (config.kind_name(), config.steps) if ":" in name]
    found = modules_of((*kind, *config.dependencies, *config.followups))
    return [name for name in found if name.partition(".")[0] != _PACKAGE]


def modules_of(references: Iterable[str]) -> list[str]:
    """Return the modules of "module:function" references."""
    return sorted({reference.split(":")[0] for reference in references})
