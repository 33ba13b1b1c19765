"""tests/compose/run: docker-compose.yaml brought up, used, damaged, saved and taken down, as its users do it.

Without an image registry the official images are stood in for (images.py), on a Docker daemon of our own that leaves
nothing behind. That proves the wiring. `--official` uses the Docker that is there, and the real images.
Exit status 77: this machine cannot run it, and the text says what is missing.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compose import daemon, images, refusals
from tests.compose.daemon import left_over, private_daemon
from tests.compose.project import Stack
from tests.compose.shell import TrialError, complain, say

CANNOT_RUN = 77
KILLED = ("dag-processor", "triggerer", "scheduler", "api-server", "local-sagemaker", "postgres")


def main() -> int:
    """Run all of it; 0, 1 or CANNOT_RUN."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # a time limit, too, ends the daemon
    options = arguments()
    lacks = [] if options.official else daemon.missing()
    if lacks:
        complain(f"tests/compose/run cannot run here: {', '.join(lacks)} missing")
        return CANNOT_RUN
    try:
        with working_folder(options.work) as work, docker(work, options.official) as env:
            trial(Stack(work, env), options)
    except TrialError as error:
        complain(f"FAILED: {error}")
        return 1
    say("passed" + ("" if options.official else ": the wiring, on stand-ins; the official images were not part of it"))
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="keep Debian, wheels and images here for the next run")
    parser.add_argument("--official", action="store_true", help="use the Docker that is there and the official images")
    parser.add_argument("--no-kills", action="store_true", help="leave out the killing of services")
    parser.add_argument("--celery", action="store_true", help="also train one partition with Redis and two workers")
    return parser.parse_args()


@contextmanager
def working_folder(chosen: Path | None) -> Iterator[Path]:
    """The chosen folder, or one that is gone afterwards. Several GB, so not in /tmp, which may be memory."""
    if chosen:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.resolve()
        return
    work = Path(tempfile.mkdtemp(prefix="compose-", dir="/var/tmp"))
    try:
        yield work
    finally:
        daemon.unmount_below(work)
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def docker(work: Path, official: bool) -> Iterator[dict[str, str]]:
    """The environment for docker and compose."""
    if official:
        yield {}
        return
    with private_daemon(work) as env:
        images.build(work, env)
        yield env


def trial(stack: Stack, options: argparse.Namespace) -> None:
    """The order of things. Whatever happens, the stack is taken down."""
    refusals.without_env(stack)
    stack.make_env()
    stack.build()
    try:
        refusals.before_start(stack)
        stack.up()
        refusals.while_up(stack)
        stack.suite_under_kills(() if options.no_kills else KILLED)
        if options.celery:
            stack.celery()
        saved_and_restored(stack)
    except TrialError as error:
        raise TrialError(f"{error}\n{stack.logs()}") from None
    finally:
        stack.down()
    left = left_over(stack.env) if not options.official else {}
    if any(left.values()):
        raise TrialError(f"left behind: {left}")
    say("no container, network or volume is left")


def saved_and_restored(stack: Stack) -> None:
    """Backup, all volumes gone, restore, and the same executions, artifacts and events are there."""
    folder = stack.work / "backup"
    shutil.rmtree(folder, ignore_errors=True)
    say(stack.script("backup", folder).strip().splitlines()[-1])
    stack.down()
    stack.script("restore", folder)
    stack.up()
    stack.suite()
    shutil.rmtree(folder)
    say("restored from the backup into new volumes: nothing was trained again")


if __name__ == "__main__":
    sys.exit(main())
