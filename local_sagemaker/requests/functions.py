"""The available Lambda functions: those of `serve --lambda`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

FUNCTION_ARN = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]{1,64}(?::(?:\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)


@dataclass(frozen=True)
class KnownFunctions:
    """Functions as "module:function" by ARN."""

    handlers: Mapping[str, str] = field(default_factory=dict)

    def refusal(self, arn: str) -> str | None:
        """A message about an unknown function; None if it is known."""
        if arn in self.handlers:
            return None
        return (
            f"the function '{arn[:200]}' is not known to the local SageMaker, which takes no code from AWS Lambda. Name"
            f" its Python function: serve --lambda '{arn[:200]}=module:function'"
        )
