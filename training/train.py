"""Trains a classifier on three parquet channels: `python train.py --name value ...`, or under `torchrun`.

Start reading here: prepare the data (table/), train (trainer.py), evaluate the kept weights and write the artifact
(finish.py).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

if not __package__:
    # Run as a script from a folder of any name (the container calls it "code"): let it be the package `training`.
    import importlib.util

    _spec = importlib.util.spec_from_file_location("training", Path(__file__).with_name("__init__.py"))
    assert _spec is not None  # noqa: S101 - the file is there
    sys.modules["training"] = importlib.util.module_from_spec(_spec)

from training import distributed, exits
from training.allocator import keep_freed_memory
from training.errors import Interrupted
from training.exits import Sigterm, log
from training.finish import finish
from training.hyperparameters import Paths, read_hyperparameters
from training.table.prepare import prepare
from training.trainer import Trainer


def main(argv: list[str] | None = None) -> int:
    """Train; return the exit status. Any error is one line in the log and in the job's failure file."""
    paths = Paths.from_environment(os.environ)
    if os.environ.get("RANK", "0") == "0":
        paths.failure.unlink(missing_ok=True)
    try:
        sigterm = Sigterm()
        hp = read_hyperparameters(sys.argv[1:] if argv is None else argv)
        keep_freed_memory()
        ranks = distributed.start(hp.threads)
        with tempfile.TemporaryDirectory(prefix="training-", ignore_cleanup_errors=True) as workdir:
            channels = {"train": paths.train, "val": paths.val, "test": paths.test}
            tables = prepare(channels, hp, ranks, Path(ranks.from_neighbour(workdir)))
        trainer = Trainer(hp, paths, ranks, tables, sigterm)
        trainer.run()
        finish(trainer)
        sigterm.ignore()
        distributed.stop()
    except Interrupted as interrupted:
        log(f"Interrupted: {interrupted}")
        return exits.INTERRUPTED
    except Exception as error:  # the boundary: every error is reported
        return exits.fail(paths.failure, error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
