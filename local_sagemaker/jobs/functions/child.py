"""The process of a call: `python child.py MODULE:FUNCTION EVENT RESULT`. Standard library only.

It runs in the jobs' interpreter, in which the server's packages may not be installed.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path


class Context:
    """The second argument of a handler, as AWS Lambda passes it."""

    def __init__(self) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.invoked_function_arn = os.environ["LOCAL_LAMBDA_ARN"]
        self.aws_request_id = os.environ["LOCAL_LAMBDA_REQUEST_ID"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.identity = None
        self.client_context = None
        self._deadline = time.time() + float(os.environ["LOCAL_LAMBDA_SECONDS"])

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the call times out."""
        return max(int((self._deadline - time.time()) * 1000), 0)


def call(handler: str, event: object) -> dict[str, object]:
    """Call the handler; return its result or its exception."""
    module, _, name = handler.partition(":")
    try:
        function = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        value = function(event, Context())  # type: ignore[operator]
        json.dumps(value, allow_nan=False)
    except BaseException as error:
        traceback.print_exc()
        return {"errorType": type(error).__name__, "errorMessage": str(error)}
    return {"value": value}


def main() -> None:
    """Call the function and write the result to a file."""
    handler, event, result = sys.argv[1:4]
    sys.path[0] = str(Path.cwd())  # import from the functions' folder instead of this program's
    found = call(handler, json.loads(Path(event).read_text()))
    partial = Path(f"{result}.partial")
    partial.write_text(json.dumps(found))
    partial.replace(result)


if __name__ == "__main__":
    main()
