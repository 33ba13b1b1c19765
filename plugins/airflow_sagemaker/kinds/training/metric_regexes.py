"""Warnings about metric regexes that may take forever."""

from __future__ import annotations

import re._constants as sre  # type: ignore[import-not-found,import-untyped,unused-ignore]
import re._parser as parser  # type: ignore[import-not-found,import-untyped,unused-ignore]
from collections.abc import Mapping

_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)


def slow_metric_warnings(definitions: Mapping[str, str]) -> list[str]:
    """Return a warning for each regex with nested unlimited repetitions, such as `(a+)+`.

    On a line that almost matches, the time of such a regex may double with each character.
    """
    return [
        f"metric_definitions.{name}: {regex!r} nests repetitions, so matching a single line may take forever"
        for name, regex in definitions.items()
        if _repeats_a_repeat(parser.parse(regex), is_repeated=False)
    ]


def _repeats_a_repeat(pattern: parser.SubPattern, *, is_repeated: bool) -> bool:
    for operation, argument in pattern:
        inner = is_repeated
        if operation in _REPEATS and argument[1] == sre.MAXREPEAT:
            if is_repeated:
                return True
            inner = True
        if any(_repeats_a_repeat(part, is_repeated=inner) for part in _subpatterns(argument)):
            return True
    return False


def _subpatterns(argument: object) -> list[parser.SubPattern]:
    """Yield the patterns in an operation's argument."""
    if isinstance(argument, parser.SubPattern):
        return [argument]
    if isinstance(argument, tuple | list):
        return [part for item in argument for part in _subpatterns(item)]
    return []
