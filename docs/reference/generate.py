"""Writes the pages beside itself, and a part of ../fidelity.md, from the code: `python docs/reference/generate.py`.

A test runs it with `--check`, which writes nothing and fails when a page is not what the code says.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "plugins"), str(ROOT)]

NOTE = "<!-- Written by docs/reference/generate.py; a test compares it with the code. Do not edit. -->"


def faults_page() -> str:
    """Return the page faults.md: how responses of AWS, proxies and gateways are classified."""
    from airflow_sagemaker.aws.faults import RULES

    head = (
        "# Faults of calls\n\n" + NOTE + "\n\n"
        "How operator, sensor, trigger and command line classify errors of AWS calls, and what they do about them.\n"
        "Calls are repeated with the same token until `patience` runs out, and the log says so. An execution is\n"
        "started when its ARN is known, gone only according to the first row, and stopped only according to\n"
        "DescribePipelineExecution.\n\n"
        "| Fault | Recognized by | Meaning | Action |\n|---|---|---|---|\n"
    )
    return head + "".join(
        f"| {rule.fault.value} | {_known_by(rule)} | {rule.means} | {rule.action.value} |\n" for rule in RULES
    )


def _known_by(rule: Any) -> str:
    parts = []
    if rule.codes:
        parts.append("codes " + ", ".join(f"`{code}`" for code in rule.codes))
    if rule.texts:
        texts = ", ".join("`" + text.replace("|", "\\|") + "`" for text in rule.texts)
        parts.append(f"`ValidationException` or `InvalidSignatureException` with a message like {texts}")
    if rule.errors:
        parts.append("botocore's " + ", ".join(f"`{name}`" for name in rule.errors))
    if rule.otherwise:
        parts.append(rule.otherwise)
    return "; ".join(parts)


def operators_page() -> str:
    """Return the page operators.md: DAG, task group, operators, sensor, and the outcome."""
    from airflow_sagemaker import (
        SageMakerPromoteModelOperator,
        SageMakerTableCheckOperator,
        SageMakerTrainingDag,
        SageMakerTrainingPipelineOperator,
        SageMakerTrainingPipelineSensor,
        SageMakerTrainingTaskGroup,
    )

    kinds = {
        SageMakerTrainingPipelineOperator: "operator",
        SageMakerTrainingPipelineSensor: "sensor",
        SageMakerTableCheckOperator: "operator",
        SageMakerPromoteModelOperator: "operator",
        SageMakerTrainingDag: "",
        SageMakerTrainingTaskGroup: "",
    }
    said = [documented(cls) for cls in kinds]
    # Parameters that several of them have mean the same, and are described once.
    everywhere = {**said[1], **said[0]}
    parts = [
        "# Operators, sensor, DAG\n",
        NOTE,
        "\nEvery parameter of the classes that a DAG uses, and the outcome of a training.",
    ]
    for (cls, kind), own in zip(kinds.items(), said, strict=True):
        lead = inspect.cleandoc(cls.__doc__ or "").partition(":param")[0].strip()
        rows = [
            f"| `{name}` | {default_of(parameter.default)} | {own.get(name) or everywhere[name]} |"
            for name, parameter in inspect.signature(cls.__init__).parameters.items()
            if name not in {"self", "kwargs"}
        ]
        rest = inspect.cleandoc(cls.__doc__ or "").rpartition(":param")[2].partition("\n\n")[2]
        if kind:
            templated = ", ".join(f"`{name}`" for name in cls.template_fields)
            rest = f"Templated: {templated}. All parameters of Airflow's {kind}s are accepted, too."
        parts += [
            f"\n## {cls.__name__}\n\n{lead}\n\n| Parameter | Default | Meaning |\n|---|---|---|",
            *rows,
            f"\n{rest}",
        ]
    return "\n".join([*parts, *outcome_part()]) + "\n"


def outcome_part() -> list[str]:
    """Return the lines about the outcome, which end operators.md."""
    from airflow_sagemaker.aws.outcome import Outcome

    meanings = field_docs(Outcome)
    rows = [
        f"| `{field.name}` | {str(field.type).replace(' | None', ' or none')} | {meanings[field.name]} |"
        for field in dataclasses.fields(Outcome)
    ]
    lead = "XCom `return_value` of the sensor, `outcome` of an operator that waits; JSON."
    return [f"\n## The outcome\n\n{lead}\n\n| Key | Type | Meaning |\n|---|---|---|", *rows]


def field_docs(cls: type) -> dict[str, str]:
    """Return the docstrings of a dataclass's fields."""
    [body] = [node.body for node in ast.parse(inspect.getsource(cls)).body if isinstance(node, ast.ClassDef)]
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def documented(cls: type) -> dict[str, str]:
    """Return the `:param name, name: text` entries of a class's docstring."""
    found = {}
    entries = re.split(r":param ", inspect.cleandoc(cls.__doc__ or "").partition("\n\nXCom")[0])[1:]
    for entry in entries:
        names, _, text = entry.partition("\n\n")[0].partition(":")
        for name in names.split(","):
            found[name.strip()] = " ".join(text.split()).rstrip(";.")
    return found


def default_of(value: Any) -> str:
    """A default as a reader writes it."""
    from airflow_sagemaker.operators import RUN_PARTITION

    if value is inspect.Parameter.empty:
        return "required"
    if value == RUN_PARTITION:
        return "`RUN_PARTITION`"
    if inspect.isclass(value) or callable(value):
        return f"`{getattr(value, '__name__', 'report_outcome')}`"
    if isinstance(value, datetime):
        return f"`{value.date()}`"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.0f} s"
    return "none" if value in (None, ()) else f"`{value!r}`"


def command_line_page() -> str:
    """Both command lines."""
    lead = "\nEvery command and option of the package and of the local SageMaker."
    parts = ["# Command lines\n", NOTE, lead, "\n## python -m airflow_sagemaker\n", *package_commands()]
    parts += ["\n## python -m local_sagemaker\n", *server_commands()]
    return "\n".join(parts) + "\n"


def package_commands() -> Iterator[str]:
    """The commands of the package."""
    from airflow_sagemaker import cli

    doc = inspect.cleandoc(cli.__doc__ or "")
    yield doc[doc.index("Exit codes") :]
    yield from commands_of(cli.build_parser())


def server_commands() -> Iterator[str]:
    """The commands of the local SageMaker."""
    from local_sagemaker.__main__ import parser

    yield from commands_of(parser())


def commands_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A section for each command of an argparse parser."""
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        text = (command.description or "").rstrip(".")
        yield f"\n### {name}\n\n{text[:1].upper()}{text[1:]}.\n\n| Option | Meaning |\n|---|---|"
        for action in command._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            called = ", ".join(action.option_strings) or str(action.metavar)
            takes = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
            if action.choices:
                takes = " " + ", ".join(map(str, action.choices))
            yield f"| `{called}{takes}` | {action.help} |"


MEMBERS_BEGIN = "<!-- Members: written by docs/reference/generate.py; a test compares them with the code. -->"
MEMBERS_END = "<!-- End of members -->"


def fidelity_page() -> str:
    """The page as it is, with the members that the local SageMaker accepts without effect or rejects."""
    from local_sagemaker.requests.members import MEMBERS

    before, _, rest = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8").partition(MEMBERS_BEGIN)
    _, _, after = rest.partition(MEMBERS_END)
    parts = [MEMBERS_BEGIN]
    for title, kind in (("Accepted without effect", "without_effect"), ("Rejected", "refused")):
        parts.append(f"\n### {title}\n\n| Action | Member | Why |\n|---|---|---|")
        parts += [
            f"| {action} | `{path}` | {reason} |"
            for action, members in MEMBERS.items()
            for path, reason in getattr(members, kind).items()
        ]
    return "\n".join([before + parts[0], *parts[1:], "", MEMBERS_END]) + after


def main() -> int:
    """Write the pages, or compare them with `--check`."""
    from configuration_page import configuration_page

    stale = []
    pages = {
        "configuration.md": configuration_page(),
        "faults.md": faults_page(),
        "operators.md": operators_page(),
        "command-line.md": command_line_page(),
        "../fidelity.md": fidelity_page(),
    }
    for name, text in pages.items():
        page = HERE / name
        if "--check" not in sys.argv:
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"not what the code says: {', '.join(stale)}; run python docs/reference/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
