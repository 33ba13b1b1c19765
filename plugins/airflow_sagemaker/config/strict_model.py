"""Pydantic models that report all violations at once, with messages for users.

Pydantic alone does not check rules over several fields if one field is invalid, and its messages are about types. A
`StrictModel` checks each field, then all rules whose fields are valid, and raises one `ConfigurationError`.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from airflow_sagemaker.exceptions import MISSING, ConfigurationError, Violation
from airflow_sagemaker.types import JsonMapping

Rule = Callable[[Any], Iterator[Violation]]
"""A rule takes a model, or its valid values; the Protocol of its argument names the fields that it reads."""


def reads_fields(*fields: str) -> Callable[[Rule], Rule]:
    """Mark a rule with the fields that it reads: it is skipped if one of them is invalid."""

    def mark(rule: Rule) -> Rule:
        rule.fields = fields  # type: ignore[attr-defined]
        return rule

    return mark


def is_template(value: object) -> bool:
    """Whether a value is an Airflow template, which can be checked only after rendering."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def holds_template(value: object) -> bool:
    """Whether a value contains a template anywhere."""
    if isinstance(value, Mapping):
        return any(holds_template(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(holds_template(inner) for inner in value)
    return is_template(value)


def _top_field(field: str) -> str:
    """Return the first part of a dotted path: `hyperparameters` of `hyperparameters.lists[2]`."""
    return field.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]


class StrictModel(BaseModel):
    """A frozen model without unknown keys that reports all violations together.

    Subclasses list rules over their fields in `rules`; each yields `Violation`s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    rules: ClassVar[tuple[Rule, ...]] = ()
    what: ClassVar[str] = "configuration"

    def __init__(self, **data: object) -> None:
        violations: list[Violation] = []
        try:
            super().__init__(**data)
        except ValidationError as error:
            violations = list(_violations_of(error, type(self)))
            bad = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
            seen = _without_fields(type(self), data, bad)
        else:
            bad, seen = set(), self
        for rule in self.all_rules() if seen else ():
            if not bad.intersection(getattr(rule, "fields", ())):
                violations.extend(rule(seen))
        if violations:
            order = {name: position for position, name in enumerate(type(self).model_fields)}
            violations.sort(key=lambda violation: order.get(_top_field(violation.field), len(order)))
            raise ConfigurationError(violations, what=self.what)

    @classmethod
    def all_rules(cls) -> tuple[Rule, ...]:
        """Return the rules of this class and its bases, bases first."""
        found: list[Rule] = []
        for base in reversed(cls.__mro__):
            found.extend(rule for rule in vars(base).get("rules", ()) if rule not in found)
        return tuple(found)

    @classmethod
    def unrendered_violations(cls, data: JsonMapping) -> list[Violation]:
        """Return the violations that no template in `data` can fix: fields with templates are not checked."""
        open_fields = {name for name, value in data.items() if holds_template(value)}
        try:
            cls(**{name: value for name, value in data.items() if name not in open_fields})
        except ConfigurationError as error:
            reads = {name: name for name in open_fields}
            for rule in cls.all_rules():
                fields = getattr(rule, "fields", ())
                if open_fields.intersection(fields):
                    reads |= dict.fromkeys(fields, "")
            return [found for found in error.violations if _top_field(found.field) not in reads]
        return []

    def updated(self, **changes: object) -> Self:
        """Return a copy with changed values; it is validated again, and defaults are filled in again."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**given, **changes})

    @classmethod
    def model_validate(cls, obj: object, **_: object) -> Self:
        """Build the model from a mapping; an instance of the class is returned as it is."""
        if isinstance(obj, cls):
            return obj
        if not isinstance(obj, Mapping):
            raise ConfigurationError([Violation(cls.what, obj, "must be a mapping of names to values")], what=cls.what)
        return cls(**{str(key): value for key, value in obj.items()})


def _without_fields(model: type[StrictModel], data: JsonMapping, bad: set[str]) -> StrictModel | None:
    """Return the model without its invalid fields and unknown keys, for the rules over the others.

    None if a validator of the whole model, which only a subclass of a user's has, refuses that.
    """
    optional: Any = {name: (Any, None) for name in bad if name in model.model_fields}
    partial = create_model(model.__name__, __base__=model, __module__=model.__module__, **optional)
    found = partial.__new__(partial)
    try:
        # past StrictModel.__init__, which checks the rules
        partial.__pydantic_validator__.validate_python(
            {name: value for name, value in data.items() if name not in bad}, self_instance=found
        )
    except ValidationError:
        return None
    for name in optional:
        del found.__dict__[name]
    return found


def _violations_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Violation]:
    for item in error.errors():
        path = _dotted_path(item["loc"])
        kind, context = item["type"], item.get("ctx", {})
        inner = context.get("error")
        if isinstance(inner, ConfigurationError):
            for violation in inner.violations:
                yield Violation(f"{path}.{violation.field}", violation.value, violation.rule, violation.hint)
        elif kind == "extra_forbidden":
            yield Violation(path, item["input"], "is not a known setting", _nearest_name(model, item["loc"]))
        elif kind == "missing":
            yield Violation(path, MISSING, "is required")
        elif inner is not None:
            yield Violation(path, item["input"], str(inner))
        elif kind in ("tuple_type", "list_type"):
            yield Violation(path, item["input"], "should be a list")
        elif kind == "string_type" and isinstance(item["input"], bool | int | float | datetime.date):
            yield Violation(path, item["input"], "should be a string", "in YAML, quote it: '2.10', '2026-01-31'")
        else:
            yield Violation(path, item["input"], _plain_message(item["msg"]))


def _dotted_path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _nearest_name(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Return a hint with the most similar setting, including those in groups."""
    if len(location) != 1:
        return ""
    known = {name: name for name in model.model_fields}
    for name, info in model.model_fields.items():
        group = getattr(info.annotation, "model_fields", {})
        known.update({inner: f"{name}.{inner}" for inner in group if inner not in known})
    near = difflib.get_close_matches(str(location[0]), list(known), n=1, cutoff=0.6)
    return f"did you mean {known[near[0]]}?" if near else ""


def _plain_message(message: str) -> str:
    return message.removeprefix("Input ").removeprefix("Value error, ") or message
