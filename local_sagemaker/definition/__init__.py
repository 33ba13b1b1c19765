"""The pipeline definition language: definitions are parsed and checked completely when a pipeline is created.

Nothing here runs a step or depends on the database.
"""

from local_sagemaker.definition.parameters import Parameter
from local_sagemaker.definition.parse import Definition, parse
from local_sagemaker.steps.step import Step

__all__ = ["Definition", "Parameter", "Step", "parse"]
