"""A separate PostgreSQL server for tests, from Debian's package."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_stack.processes import free_port

USER = "airflow"
READY_SECONDS = 30


def programs() -> Path | None:
    """Return the folder of initdb and postgres, None without PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the SQLAlchemy URL of an empty database; server and files are removed afterwards."""
    bin_folder = programs()
    assert bin_folder is not None, "no PostgreSQL server here: apt-get install postgresql"
    # PostgreSQL does not run as root: use its package's user instead.
    other: dict[str, Any] = {"user": "postgres"} if getpass.getuser() == "root" else {}
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if other:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()
    options = ["-D", str(data), "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run([str(bin_folder / "initdb"), *options], check=True, capture_output=True, cwd="/", **other)
    command = [
        str(bin_folder / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port),
        "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=100",
    ]  # fmt: skip
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        start_new_session=True, **other,
    )  # fmt: skip
    try:
        _wait(bin_folder, port)
        yield f"postgresql+psycopg2://{USER}@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(bin_folder: Path, port: int) -> None:
    command = [str(bin_folder / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    deadline = time.monotonic() + READY_SECONDS
    while subprocess.run(command, check=False).returncode != 0:
        assert time.monotonic() < deadline, f"PostgreSQL was not ready after {READY_SECONDS} s"
        time.sleep(0.1)
