"""The real server, killed by itself with SIGKILL right after its n-th commit: `crashing_server.py N serve ...`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local_sagemaker.__main__ import main
from local_sagemaker.store import database


def crash_after(number: int) -> None:
    original = database.Database.write
    left = [number]

    @contextmanager
    def write(self: database.Database) -> Iterator[Any]:
        with original(self) as connection:
            yield connection
        if not connection.in_transaction:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    database.Database.write = write  # type: ignore[method-assign]


if __name__ == "__main__":
    crash_after(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
