"""Runs one host: `python -I -S main.py CONFIG.json` (see `HostConfig` in messages.py).

The host's first process reads the commands `term` and `kill` from standard input (see first_process.py). Standard
output is one JSON object per line (see `Message` in messages.py). `main.py --probe` tries to mount, and prints which
isolation works: {"mount": bool, "pid_namespace": bool}.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from local_sagemaker.jobs.host.runner import first_process, linux, processes
from local_sagemaker.jobs.host.runner.messages import HostConfig, Message
from local_sagemaker.jobs.host.runner.output import (
    LINE_OVERHEAD,
    CappedSink,
    LineSplitter,
    Mask,
    MetricFinder,
    now_ms,
    open_append,
)

_FLUSH_SECONDS = 0.2
_FLUSH_LINES = 500
_FLUSH_CHARACTERS = 2**18


class Pump:
    """Writes the host's output to its log file and, in batches, to the server."""

    def __init__(self, config: HostConfig) -> None:
        self._batch: list[tuple[int, str]] = []
        self._batch_size = 0
        self._metrics: list[tuple[str, float, int]] = []
        self._notes: list[str] = []
        self._splitter = LineSplitter(Mask(config.env))
        self._finder = MetricFinder.of(config.metric_definitions, self._notes.append)
        self._log = open_append(config.log_file)
        self._series = open_append(config.metrics_file)
        self._series_left = config.log_file_bytes
        self._tail: deque[str] = deque(maxlen=200)
        self._file = CappedSink(self._to_file, config.log_file_bytes, "log file")
        self._server = CappedSink(self._to_server, config.log_stream_bytes, "log stream", LINE_OVERHEAD)

    def feed(self, data: bytes) -> None:
        """Process bytes of output."""
        for line in self._splitter.feed(data):
            self.line(line)

    def line(self, line: str) -> None:
        """Process a line of output, followed by notes about it."""
        self._one_line(line)
        while self._notes:
            self._one_line(self._notes.pop())

    def _one_line(self, line: str) -> None:
        milliseconds = now_ms()
        self._tail.append(line[:2000])
        self._file.add(milliseconds, line)
        self._server.add(milliseconds, line)
        for name, value in self._finder.find(line):
            self._metrics.append((name, value, milliseconds))
            record = json.dumps({"name": name, "value": value, "ms": milliseconds}).encode() + b"\n"
            self._series_left -= len(record)
            if self._series_left > 0:
                self._series.write(record)
        if len(self._metrics) >= _FLUSH_LINES:
            self.flush()

    def _to_file(self, _milliseconds: int, line: str) -> None:
        try:
            self._log.write(line.encode("utf-8", "replace") + b"\n")
        except OSError:  # a full disk must not stop the job's output
            return

    def _to_server(self, milliseconds: int, line: str) -> None:
        self._batch.append((milliseconds, line))
        self._batch_size += len(line)
        if len(self._batch) >= _FLUSH_LINES or self._batch_size >= _FLUSH_CHARACTERS:
            self.flush()

    @property
    def holds_lines(self) -> bool:
        """Whether there is anything to flush. Otherwise, the runner of a silent job can sleep."""
        return bool(self._batch or self._metrics)

    def flush(self) -> None:
        """Send the current batches to the server."""
        if self._batch:
            send({"log": self._batch})
            self._batch, self._batch_size = [], 0
        if self._metrics:
            send({"metrics": self._metrics})
            self._metrics = []

    def close(self) -> list[str]:
        """Flush everything; return the last lines of output."""
        for line in self._splitter.close():
            self.line(line)
        self._file.close()
        self._server.close()
        self.flush()
        return list(self._tail)


def send(message: Message) -> None:
    """Send a message to the server."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def launch(config: HostConfig) -> tuple[int, int]:
    """Start the host's first process; return the reading ends of its report and output pipes.

    A third pipe, whose writing end is open only in this process, is closed when this process ends.
    """
    if config.pid_namespace:
        linux.enter_namespaces(linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWPID)
    elif config.mount:
        linux.enter_namespaces(linux.CLONE_NEWNS | linux.CLONE_NEWUTS)
    pump_read, pump_write = os.pipe()
    report_read, report_write = os.pipe()
    output_read, output_write = os.pipe()
    if os.fork() == 0:
        for descriptor in (1, pump_write, report_read, output_read):
            os.close(descriptor)
        first_process.become_init(config, pump_read, report_write, output_write)
    for descriptor in (0, pump_read, report_write, output_write):
        os.close(descriptor)
    return report_read, output_read


def run(config: HostConfig) -> None:
    """Run the host until it ends."""
    linux.die_with_parent(signal.SIGKILL)
    linux.adopt_orphans()
    report, output = launch(config)
    pump = Pump(config)
    said = b""
    ended: Message = {"exit": signal.SIGKILL, "reason": None}
    watched = [report, output]
    while watched:
        ready, _, _ = select.select(watched, [], [], _FLUSH_SECONDS if pump.holds_lines else None)
        if report in ready:
            chunk = os.read(report, 65536)
            *lines, said = (said + chunk).split(b"\n")
            for message in map(json.loads, lines):
                if "note" in message:
                    pump.line(message["note"])
                else:
                    ended = message
            if not chunk:  # the first process has ended; if it did not clean up, this process has adopted its orphans
                watched.remove(report)
                processes.kill_all(os.getpid())
        if output in ready:
            data = os.read(output, 1 << 16)
            if data:
                pump.feed(data)
            else:
                watched.remove(output)
        if not ready:
            pump.flush()
    tail = pump.close()
    send({**ended, "tail": tail})


def probe() -> None:
    """Try to mount with and without a PID namespace; print what worked."""
    found = {"mount": False, "pid_namespace": False}
    for pid_namespace in (True, False):
        if _mount_works(pid_namespace):
            found = {"mount": True, "pid_namespace": pid_namespace}
            break
    print(json.dumps(found), flush=True)


def _mount_works(pid_namespace: bool) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        outer = os.fork()
        if outer == 0:
            code = 1
            try:
                flags = linux.CLONE_NEWNS | linux.CLONE_NEWUTS
                linux.enter_namespaces(flags | (linux.CLONE_NEWPID if pid_namespace else 0))
                inner = os.fork()
                if inner == 0:
                    _try_mount(folder, pid_namespace)
                code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(outer, 0)[1]) == 0


def _try_mount(folder: str, pid_namespace: bool) -> None:
    code = 1
    try:
        linux.make_mounts_private()
        if pid_namespace:
            linux.mount_proc()
        linux.mount_container_folder(folder)
        Path("/opt/ml/probe").touch()
        code = 0 if Path(folder, "probe").exists() else 1
    except OSError:
        code = 1
    finally:
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--probe":
        probe()
    else:
        run(HostConfig(**json.loads(Path(sys.argv[1]).read_text())))
