"""Requests are checked against botocore's model, with the service's messages."""

from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker import service_model


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({}, "Value null at 'pipelineName'"),
        ({"PipelineName": "a"}, ""),
        ({"PipelineName": 7}, "'pipelineName' failed to satisfy constraint: Member must be a string, found an integer"),
        ({"PipelineName": "-a"}, "satisfy regular expression pattern"),
        (
            {"PipelineName": "a", "MaxResults": 101},
            "'maxResults' failed to satisfy constraint: Member must have value less",
        ),
        ({"PipelineName": "a", "MaxResults": True}, "found a boolean"),
        ({"PipelineName": "a", "SortOrder": "Up"}, "enum value set: [Ascending, Descending]"),
        ({"PipelineName": "a", "CreatedAfter": "now"}, "'createdAfter'"),
        ({"PipelineName": "a", "NextToken": "x" * 8193}, "less than or equal to 8192"),
        ({"PipelineName": "a", "Nope": 1}, "at 'Nope'"),
    ],
)
def test_requests_are_checked_by_member(request_: dict[str, Any], named: str) -> None:
    broken = list(service_model.violations(service_model.input_shape("ListPipelineExecutions"), request_))
    assert len(broken) == bool(named)
    assert named in service_model.validation_text(broken)


def test_nested_members_are_named() -> None:
    request = {"PipelineArn": "x", "Tags": [{"Key": "k"}]}
    broken = list(
        service_model.violations(service_model.input_shape("CreatePipeline").members["Tags"], request["Tags"], "tags")
    )
    assert broken == ["Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null"]
