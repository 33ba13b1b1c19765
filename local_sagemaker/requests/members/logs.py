"""CloudWatch Logs."""

from __future__ import annotations

from local_sagemaker.requests.members.declaration import KEYS, Members

LOGS: dict[str, Members] = {
    "CreateLogGroup": Members(
        done="logGroupName",
        without_effect={
            "kmsKeyId": KEYS,
            "logGroupClass": "all groups are stored the same way",
            "tags": "no action here reads them",
        },
        refused={"deletionProtectionEnabled": "a group can always be deleted"},
    ),
    "DeleteLogGroup": Members(done="logGroupName"),
    "CreateLogStream": Members(done="logGroupName logStreamName"),
    "DeleteLogStream": Members(done="logGroupName logStreamName"),
    "DescribeLogGroups": Members(
        done="logGroupNamePrefix nextToken limit",
        refused={
            "logGroupNamePattern": "use logGroupNamePrefix",
            "logGroupIdentifiers": "use logGroupNamePrefix",
            "logGroupClass": "all groups are stored the same way",
            "accountIdentifiers": "there is one account",
            "includeLinkedAccounts": "there is one account",
        },
    ),
    "DescribeLogStreams": Members(
        done="logGroupName logGroupIdentifier logStreamNamePrefix orderBy descending nextToken limit"
    ),
    "PutLogEvents": Members(
        done="logGroupName logStreamName logEvents[].timestamp logEvents[].message",
        without_effect={"sequenceToken": "the service ignores it, too", "entity": "no action here reads it"},
    ),
    "GetLogEvents": Members(
        done="logGroupName logGroupIdentifier logStreamName startTime endTime nextToken limit startFromHead",
        without_effect={"unmask": "nothing is masked"},
    ),
    "FilterLogEvents": Members(
        done="logGroupName logGroupIdentifier logStreamNames logStreamNamePrefix startTime endTime filterPattern"
        " nextToken limit startFromHead",
        without_effect={"interleaved": "events are always interleaved", "unmask": "nothing is masked"},
    ),
}
