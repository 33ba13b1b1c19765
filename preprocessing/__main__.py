"""Run the program on local folders: `python -m preprocessing --raw DIR --output DIR --partition 2013-07-04`.

The defaults of the folders are those of a SageMaker Processing container. Prints the result as one JSON object; on bad
data, one line on standard error and status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from preprocessing import program, source
from preprocessing.errors import PreprocessingError
from preprocessing.window import Window, parse_partition


def main() -> int:
    """Parse the options, preprocess, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing", description=main.__doc__)
    parser.add_argument("--raw", type=Path, default=Path("/opt/ml/processing/input/raw"), help="folder of raw tables")
    parser.add_argument("--output", type=Path, default=Path("/opt/ml/processing/output"), help="folder for the splits")
    parser.add_argument("--partition", required=True, help="date, YYYY-MM-DD")
    for name, what in (("days", "days of rows"), ("val-days", "days of validation"), ("test-days", "days of test")):
        parser.add_argument(f"--{name}", type=int, default=getattr(Window, name.replace("-", "_")), help=what)
    options = parser.parse_args()
    try:
        partition = parse_partition(options.partition)
        window = Window(partition, options.days, options.val_days, options.test_days, start=source.FIRST)
        sys.stdout.write(json.dumps(program.preprocess(options.raw, options.output, window)) + "\n")
    except PreprocessingError as error:
        sys.stderr.write(f"preprocessing: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
