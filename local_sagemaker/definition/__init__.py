"""The pipeline definition language: parsed and checked when a pipeline is made, resolved when it runs."""

from local_sagemaker.definition.parse import Definition, Parameter, Step, parse
from local_sagemaker.definition.values import Scope, resolve

__all__ = ["Definition", "Parameter", "Scope", "Step", "parse", "resolve"]
