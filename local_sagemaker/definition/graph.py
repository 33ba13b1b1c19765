"""The order of the steps."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping

from local_sagemaker.expressions.problem import Problem


def check_cycles(needs: Mapping[str, frozenset[str]]) -> None:
    """Raise Problem if the steps form a cycle; the message names them."""
    try:
        graphlib.TopologicalSorter({name: set(before) for name, before in needs.items()}).prepare()
    except graphlib.CycleError as error:
        raise Problem(f"Its steps form a cycle: {' -> '.join(error.args[1])}") from None
