"""Search over training jobs, by properties such as `ModelArtifacts.S3ModelArtifacts`."""

from __future__ import annotations

import json

from local_sagemaker import service_model
from local_sagemaker.actions.context import Context
from local_sagemaker.actions.paging import Query, page
from local_sagemaker.actions.registry import action
from local_sagemaker.errors import ValidationException
from local_sagemaker.store.jobs import TRAINING
from local_sagemaker.types import JsonObject, Request, Response

_OPERATORS = {
    "Equals": "{} = ?",
    "NotEquals": "{} <> ?",
    "Contains": "instr({}, ?) > 0",
    "Exists": "{} IS NOT NULL",
    "NotExists": "{} IS NULL",
}
_SORT = {"CreationTime": "created", "LastModifiedTime": "modified", "TrainingJobName": "name", None: "modified"}
"""Without SortBy, the service sorts by LastModifiedTime."""


@action
def search(context: Context, request: Request) -> Response:
    """Training jobs that match all filters, or at least one with Operator Or."""
    if request["Resource"] != "TrainingJob":
        raise ValidationException(f"Search for {request['Resource']} is not supported by the local SageMaker")
    if request.get("SortBy") not in _SORT:
        raise ValidationException(f"SortBy {request['SortBy']} is not supported by the local SageMaker")
    query = Query("jobs")
    query.add("kind = ?", TRAINING.key)
    query.add_region()
    expression = request.get("SearchExpression") or {}
    conditions = [_condition(one) for one in expression.get("Filters") or []]
    if conditions:
        joined = f" {expression.get('Operator', 'And').upper()} ".join(text for text, _ in conditions)
        query.add(f"({joined})", *(value for _, values in conditions for value in values))
    descending = request.get("SortOrder", "Descending") == "Descending"
    rows, token = page(context.db.read(), query, request, sort=_SORT[request.get("SortBy")], descending=descending)
    members = service_model.service_model().shape_for("TrainingJob").members
    found = [json.loads(row["description"]) for row in rows]
    return {
        "Results": [{"TrainingJob": {key: item[key] for key in item if key in members}} for item in found],
        **token,
    }


def _condition(one: JsonObject) -> tuple[str, list[str]]:
    """A filter's SQL and values; only a property in botocore's model becomes part of the SQL."""
    operator = one.get("Operator", "Equals")
    shape: service_model.Shape | None = service_model.service_model().shape_for("TrainingJob")
    for name in one["Name"].split("."):
        shape = shape.members.get(name) if shape is not None and shape.type_name == "structure" else None
    if shape is None or shape.type_name != "string" or operator not in _OPERATORS:
        raise ValidationException(f"Filter {one['Name']} {operator} is not supported by the local SageMaker")
    values = [] if operator in ("Exists", "NotExists") else [one.get("Value", "")]
    return _OPERATORS[operator].format(f"json_extract(description, '$.{one['Name']}')"), values
