"""What a Lambda step calls while its server is killed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def count(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Leave a trace of each call, and take long enough to be killed."""
    with Path(event["file"]).open("a") as trace:
        trace.write(f"{context.aws_request_id}\n")
    time.sleep(event.get("seconds", 0.2))
    return {"good": 1}
