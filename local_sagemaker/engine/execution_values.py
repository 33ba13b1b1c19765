"""The values of an execution's expressions."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from local_sagemaker.definition import Definition
from local_sagemaker.expressions.typed_text import TypedValue
from local_sagemaker.expressions.values import UnresolvedError, walk
from local_sagemaker.identifiers import now
from local_sagemaker.s3.files import S3ReadError, read_object
from local_sagemaker.types import JsonObject, JsonValue

_JSON_LIMIT = 10 * 1024 * 1024


class StoredValues:
    """The values of an execution, read in the engine's transaction."""

    def __init__(
        self, row: sqlite3.Row, pipeline_name: str, definition: Definition, steps: dict[str, sqlite3.Row], s3_dir: Path
    ) -> None:
        self._row = row
        self._pipeline_name = pipeline_name
        self._definition = definition
        self._steps = steps
        self._s3_dir = s3_dir
        self._parameters: dict[str, TypedValue | None] = json.loads(row["parameters"])
        self._variables: Mapping[str, str] = {}

    def with_variables(self, variables: Mapping[str, str]) -> StoredValues:
        """The same values, with execution variables of a single step: `TrainingJobName`, `ProcessingJobName`."""
        found = copy.copy(self)
        found._variables = variables
        return found

    def parameter(self, name: str) -> TypedValue | None:
        """The value of a pipeline parameter."""
        return self._parameters[name]

    def execution(self, name: str) -> str:
        """The value of an execution variable."""
        values = {
            **self._variables,
            "PipelineName": self._pipeline_name,
            "PipelineArn": self._row["pipeline"],
            "PipelineExecutionId": self._row["id"],
            "PipelineExecutionArn": self._row["arn"],
            "StartDateTime": _iso(self._row["created"]),
            "CurrentDateTime": _iso(now()),
        }
        if name not in values:
            raise UnresolvedError(f"Execution.{name} has no value in this step")
        return str(values[name])

    def step(self, name: str) -> JsonObject:
        """The properties of a step: the response of Describe for its job."""
        row = self._steps.get(name)
        if row is None or row["status"] != "Succeeded":
            raise UnresolvedError(f"step '{name}' has not succeeded")
        properties: JsonObject = json.loads(row["properties"])
        return properties

    def property_file(self, step: str, name: str) -> JsonValue:
        """The parsed content of a property file that a processing step wrote."""
        output, path = self._definition.steps[step].property_files[name]
        shown = f"property file '{name}' of step '{step}'"
        target = walk(self.step(step), ("ProcessingOutputConfig", "Outputs", output, "S3Output", "S3Uri"), shown)
        return self.s3_json(f"{str(target).rstrip('/')}/{path}")

    def s3_json(self, uri: str) -> JsonValue:
        """The parsed content of a JSON object in S3, at most 10 MB."""
        try:
            content: JsonValue = json.loads(read_object(self._s3_dir, str(uri), limit=_JSON_LIMIT))
            return content
        except S3ReadError as error:
            raise UnresolvedError(str(error)) from None
        except ValueError:
            raise UnresolvedError(f"'{uri}' is not JSON") from None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
