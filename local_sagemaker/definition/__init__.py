"""The pipeline definition language: a text is parsed and checked as a whole when a pipeline is made.

Nothing here runs a step or knows the database.
"""

from local_sagemaker.definition.parameters import Parameter
from local_sagemaker.definition.parse import Definition, parse
from local_sagemaker.steps.step import Step

__all__ = ["Definition", "Parameter", "Step", "parse"]
