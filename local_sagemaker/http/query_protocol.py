"""XML responses: STS and IAM actions that moto lacks or implements differently, and errors of XML services."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from html import escape
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

from local_sagemaker import service_model
from local_sagemaker.errors import ServiceError, ValidationException
from local_sagemaker.identifiers import ACCOUNT_ID, caller

_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:[\w+=,.@/-]+/)?([\w+=,.@-]+)")


def request_id() -> str:
    """A random id in AWS's format."""
    text = secrets.token_hex(16)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_form(environ: WSGIEnvironment) -> bool:
    """Whether a request is a form, as those of EC2, SNS and others, whose clients can read only XML."""
    return str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")


def error(service: str, code: str, message: str) -> str:
    """An error document of an XML service."""
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "s3":
        return f"<Error>{inner}<RequestId>{request_id()}</RequestId></Error>"
    if service == "ec2":
        return f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{request_id()}</RequestID></Response>"
    return (
        f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>{request_id()}</RequestId></ErrorResponse>"
    )


def _envelope(action: str, namespace: str, result: str) -> str:
    return (
        f'<{action}Response xmlns="{namespace}"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata><RequestId>{request_id()}</RequestId></ResponseMetadata></{action}Response>"
    )


def own_answer(service: str, form: str, access_key: str, secret_key: str) -> str | None:
    """The response to an action that moto should not handle; None for all others."""
    fields = {key: values[0] for key, values in parse_qs(form).items()}
    action = fields.get("Action")
    if (service, action) == ("iam", "SimulatePrincipalPolicy"):
        return _simulation(fields)
    if (service, action) == ("iam", "GetUser") and "UserName" not in fields:
        refusal = ServiceError("Must specify userName when calling with non-User credentials")
        refusal.code = "ValidationError"
        raise refusal
    if (service, action) == ("sts", "GetCallerIdentity"):
        return _caller_identity()
    if (service, action) == ("sts", "AssumeRole"):
        return _assumed_role(fields, access_key, secret_key)
    return None


def check_action(service: str, form: str) -> None:
    """Reject an unknown action, and a request without a required member; raises ServiceError."""
    fields = parse_qs(form, keep_blank_values=True)
    action = fields.get("Action", [""])[0]
    if action not in service_model.operation_names(service):
        refusal = ServiceError(
            f"Could not find operation {action[:100]} for version {fields.get('Version', [''])[0][:50]}"
        )
        refusal.code = "InvalidAction"
        raise refusal
    shape = service_model.input_shape(action, service)
    for name in shape.required_members if shape is not None else ():
        if not any(field == name or field.startswith(f"{name}.") for field in fields):
            raise ValidationException(f"Value null at '{name}' failed to satisfy constraint: Member must not be null")


def _simulation(fields: dict[str, str]) -> str:
    """Every principal is allowed every action."""
    names = [value for key, value in sorted(fields.items()) if key.startswith("ActionNames.member.")]
    members = "".join(
        f"<member><EvalActionName>{escape(name)}</EvalActionName><EvalDecision>allowed</EvalDecision>"
        "<EvalResourceName>*</EvalResourceName></member>"
        for name in names
    )
    result = f"<IsTruncated>false</IsTruncated><EvaluationResults>{members}</EvaluationResults>"
    return _envelope("SimulatePrincipalPolicy", "https://iam.amazonaws.com/doc/2010-05-08/", result)


def _caller_identity() -> str:
    identity = caller()["IamIdentity"]
    result = f"<Arn>{identity['Arn']}</Arn><UserId>{identity['PrincipalId']}</UserId><Account>{ACCOUNT_ID}</Account>"
    return _envelope("GetCallerIdentity", _STS, result)


def _assumed_role(fields: dict[str, str], access_key: str, secret_key: str) -> str:
    """For every role, return this server's own keys, the only ones that S3 accepts."""
    role, session = _ROLE.fullmatch(fields.get("RoleArn", "")), fields.get("RoleSessionName", "")
    if role is None:
        raise ValidationException(f"Value '{fields.get('RoleArn', '')[:200]}' at 'roleArn' is not the ARN of a role")
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", session):
        raise ValidationException(f"Value '{session[:200]}' at 'roleSessionName' must be 2 to 64 of [\\w+=,.@-]")
    expiration = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    arn = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role[1]}/{session}"
    result = (
        f"<Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{escape(secret_key)}</SecretAccessKey>"
        f"<SessionToken>{secrets.token_urlsafe(64)}</SessionToken><Expiration>{expiration}</Expiration></Credentials>"
        f"<AssumedRoleUser><AssumedRoleId>AROALOCAL:{session}</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>"
    )
    return _envelope("AssumeRole", _STS, result)
