"""The form of a manual trigger, made from the configuration's own fields: ranges, defaults and help."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from copy import deepcopy

from airflow_sagemaker.config.kinds import class_of
from airflow_sagemaker.config.strict_model import is_template
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.types import JsonMapping, JsonObject

FORM = ("training_instance_type", "learning_rate", "batch_size", "epochs")
"""What a form offers by default."""
INSTANCE_TYPES = (
    "ml.m5.large", "ml.m5.xlarge", "ml.m5.4xlarge", "ml.c5.2xlarge", "ml.g4dn.xlarge", "ml.g5.xlarge",
    "ml.g5.12xlarge", "ml.p4d.24xlarge",
)  # fmt: skip
"""Suggested types; the form accepts any other type, too."""
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum")
_TYPES = {"integer", "number", "string", "boolean", "null"}


def training_params(settings: JsonMapping, names: Sequence[str] = FORM) -> JsonObject:
    """Return a DAG's `params` for these fields of a configuration; its values are the defaults.

    Raises ConfigurationError for a name that is not a field, or one whose value is a list or a mapping.
    """
    from airflow.sdk import Param

    if isinstance(names, str):
        raise ConfigurationError([Violation("form", names, "should be a list of names of fields")], what="form")
    return {name: Param(**_keywords(settings, name)) for name in names}


def with_params(settings: JsonMapping, names: Sequence[str]) -> JsonObject:
    """Return the configuration with templates in these fields, which read the run's `params`."""
    found = deepcopy(dict(settings))
    for name in names:
        *groups, last = class_of(settings).setting_path(found, name)
        place = found
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = f"{{{{ params.{name} }}}}"
    return found


def _keywords(settings: JsonMapping, name: str) -> JsonObject:
    *groups, last = class_of(settings).setting_path(dict(settings), name)
    model, given = class_of(settings), settings
    for group in groups:
        model, given = model.model_fields[group].annotation, given.get(group) or {}  # type: ignore[assignment]
    field = model.model_fields.get(last)
    schema = model.model_json_schema()["properties"][last] if field is not None else {}
    alternatives = list(schema.get("anyOf", [schema]))
    kinds = {one.get("type") for one in alternatives}
    if field is None or not kinds <= _TYPES:
        rule = (
            "is not a field of the configuration that fits into a form" if field is None else "is a list or a mapping"
        )
        hint = _nearest_field(settings, name) if field is None else ""
        raise ConfigurationError([Violation("form", name, rule, hint)], what="form")
    value = given.get(last, field.get_default(call_default_factory=True, validated_data={}))
    keywords: JsonObject = {
        "default": None if is_template(value) else value,
        "type": sorted(kinds, key=lambda kind: kind != "null") if len(kinds) > 1 else next(iter(kinds)),
        "title": name.removeprefix("training_").replace("_", " ").capitalize(),
        "description": field.description,
    }
    for one in alternatives:
        keywords |= {key: one[key] for key in _LIMITS if key in one}
    if name == "training_instance_type":
        keywords["examples"] = list(dict.fromkeys([*([value] if isinstance(value, str) else []), *INSTANCE_TYPES]))
    return keywords


def _nearest_field(settings: JsonMapping, name: str) -> str:
    names = list(class_of(settings).model_fields)
    for field in class_of(settings).model_fields.values():
        names += getattr(field.annotation, "model_fields", {})
    near = difflib.get_close_matches(name, [one for one in names if one != name], n=1)
    return f"did you mean {near[0]}?" if near else ""
