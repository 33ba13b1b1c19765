"""Generates the policies in this folder from the CloudFormation template: `python docs/iam/generate.py`.

Parameters and resources of the template become words in capitals, which users replace. A test runs it with `--check`,
which writes nothing, and fails if a policy differs from the template.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE.parents[1] / "deploy" / "cloudformation" / "airflow-sagemaker.yaml"

WORDS = {
    "${Bucket.Arn}": "arn:aws:s3:::BUCKET",
    "${PipelineName}": "PIPELINE_NAME",
    "${AWS::Partition}": "aws",
    "${AWS::Region}": "REGION",
    "${AWS::AccountId}": "ACCOUNT",
    "role/${AWS::StackName}-ExecutionRole-*": "role/EXECUTION_ROLE",
}
RESOURCES = {
    "Bucket.Arn": "arn:aws:s3:::BUCKET",
    "ExecutionRole.Arn": "arn:aws:iam::ACCOUNT:role/EXECUTION_ROLE",
    "Domain.Arn": "arn:aws:codeartifact:REGION:ACCOUNT:domain/DOMAIN",
    "Packages.Arn": "arn:aws:codeartifact:REGION:ACCOUNT:repository/DOMAIN/REPOSITORY",
    "AWS::AccountId": "ACCOUNT",
}


class Template(yaml.SafeLoader):
    """CloudFormation's short forms of functions, resolved to words that users replace."""


def _resolved(loader: yaml.SafeLoader, function: str, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        return None  # such as conditions, which no policy contains
    text = str(node.value)
    if function == "Sub":
        for found, word in WORDS.items():
            text = text.replace(found, word)
        return text
    return RESOURCES.get(text, text)


Template.add_multi_constructor("!", _resolved)


def policies() -> dict[str, dict[str, Any]]:
    """Return the policy documents by file name."""
    resources = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Template)["Resources"]  # noqa: S506 - a SafeLoader
    role = resources["ExecutionRole"]["Properties"]
    of_role = {policy["PolicyName"]: policy["PolicyDocument"] for policy in role["Policies"]}
    return {
        "airflow-role": resources["AirflowPolicy"]["Properties"]["PolicyDocument"],
        "airflow-start-role": resources["AirflowStartPolicy"]["Properties"]["PolicyDocument"],
        "preprocessing-role": resources["PreprocessingPolicy"]["Properties"]["PolicyDocument"],
        "pipeline-role": of_role["pipeline"],
        "job-role": of_role["jobs"],
        "job-role-codeartifact": resources["InstallPackages"]["Properties"]["PolicyDocument"],
        "role-trust": role["AssumeRolePolicyDocument"],
    }


def main() -> int:
    """Write the policies; with --check, report those that differ from the template."""
    stale = []
    for name, document in policies().items():
        path, text = HERE / f"{name}.json", json.dumps(document, indent=2) + "\n"
        if (path.read_text(encoding="utf-8") if path.is_file() else "") != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and stale:
        print(f"not what {TEMPLATE.name} says: {', '.join(stale)}. Run python docs/iam/generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
