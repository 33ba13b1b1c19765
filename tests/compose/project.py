"""The stack under trial: one Compose project with its own .env and free ports."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_stack.processes import free_port

from tests.compose.shell import ROOT, TrialError, call, say, wait_until

PROJECT = "stacktrial"
UP_SECONDS = 900
SUITE_SECONDS = 3000
BETWEEN_KILLS_SECONDS = 8
TRAINING = "test_one_partition_by_hand"  # pytest -v prints a test's name when it is about to begin
EXTRA_TRAINING = "test_an_extra_partition"
EXTRA_DAYS = [f"2013-07-{day}" for day in range(15, 21)]
HEALTHY = ("postgres", "api-server", "scheduler", "dag-processor", "triggerer")


@dataclass
class Stack:
    """Where its files are and how its Docker is spoken to."""

    work: Path
    env: dict[str, str]

    @property
    def env_file(self) -> Path:
        return self.work / "env"

    def command(self, *arguments: str, project: str = PROJECT, files: Sequence[Path] = ()) -> list[str]:
        """The Compose command line."""
        named = [part for file in (ROOT / "docker-compose.yaml", *files) for part in ("--file", str(file))]
        where = ["--project-name", project, "--project-directory", str(ROOT), "--env-file", str(self.env_file)]
        return [*compose_program(self.env), *named, *where, *arguments]

    def compose(self, *arguments: str, check: bool = True, **kwargs: object) -> tuple[int, str]:
        """Run Compose; exit status and output."""
        return call(self.command(*arguments, **kwargs), env=self.env, check=check)  # type: ignore[arg-type]

    def make_env(self) -> None:
        """Fresh secrets, free ports, and sizes for a small machine."""
        self.env_file.unlink(missing_ok=True)
        call([ROOT / "bin" / "make-env", "--file", self.env_file])
        cpus = os.cpu_count() or 1
        settings = {
            "AIRFLOW_PORT": free_port(),
            "LOCAL_SAGEMAKER_PORT": free_port(),
            "LOCAL_S3_PORT": free_port(),
            "AIRFLOW_SCHEDULES": "false",  # exactly the runs that the suite asks for
            "AIRFLOW_CPUS": min(2, cpus),
            "LOCAL_SAGEMAKER_CPUS": min(2, cpus),
        }
        with self.env_file.open("a") as out:
            out.writelines(f"{name}={value}\n" for name, value in settings.items())

    def setting(self, name: str) -> str:
        """A value of .env."""
        lines = dict(line.split("=", 1) for line in self.env_file.read_text().splitlines() if "=" in line)
        return lines[name]

    def build(self) -> None:
        """Build the project's images."""
        say("building the project's images (some minutes)")
        self.compose("build", "prepare", "local-sagemaker")
        self.compose("--profile", "test", "build", "test")

    def up(self, *options: str) -> None:
        """Start it and wait until every service is healthy."""
        say("docker compose up")
        began = time.monotonic()
        self.compose("up", "--detach", *options)
        wait_until(lambda: all(self.health(name) == "healthy" for name in HEALTHY), "all services healthy", UP_SECONDS)
        say(f"all services are healthy after {time.monotonic() - began:.0f} s")

    def down(self) -> None:
        """Take it down with its volumes."""
        self.compose("--profile", "celery", "--profile", "test", "down", "--volumes", "--remove-orphans", check=False)

    def container(self, service: str) -> str:
        """The id of the service's container."""
        found = self.compose("ps", "--quiet", service)[1].split()
        if not found:
            raise TrialError(f"the service {service} has no container")
        return found[0]

    def inspect(self, service: str, template: str) -> str:
        """What `docker inspect` says of the service's container."""
        return call(["docker", "inspect", "--format", template, self.container(service)], env=self.env)[1].strip()

    def health(self, service: str) -> str:
        """healthy, unhealthy, starting."""
        return self.inspect(service, "{{.State.Health.Status}}")

    def kill(self, service: str) -> None:
        """End the service's first process as a crash would (docker kill counts as a wish and is not restarted)."""
        pid = int(self.inspect(service, "{{.State.Pid}}"))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: int(self.inspect(service, "{{.State.Pid}}")) not in (0, pid), f"{service} is back", 120)
        wait_until(lambda: self.health(service) == "healthy", f"{service} is healthy again", 600)

    def suite(self, killed: Sequence[str] = (), extra: str = "") -> Sequence[str]:
        """Run the service `test`, which also trains the partition `extra` if one is named.

        Meanwhile the services `killed` are killed in turn. Returns those that the suite was too short for.
        """
        say("the suite" + (f", while {', '.join(killed)} are killed in turn" if killed else ""))
        # without dependencies: the stack is up, and 1.29 would run `prepare` once more
        asked = ["-e", f"STACK_EXTRA={extra}"] if extra else []
        command = self.command("--profile", "test", "run", "--rm", "--no-deps", "-T", *asked, "test")
        log, left = self.work / "suite.log", list(killed)
        with log.open("wb") as out:
            suite = subprocess.Popen(
                command, env={**os.environ, **self.env}, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
            try:
                if left:
                    begun = EXTRA_TRAINING if extra else TRAINING
                    wait_until(lambda: suite.poll() is not None or begun in log.read_text(), begun, UP_SECONDS)
                while left and _still_running_after(suite, BETWEEN_KILLS_SECONDS):
                    self.kill(left[0])
                    say(f"  {left.pop(0)} was killed and is healthy again")
                status = suite.wait(SUITE_SECONDS)
            finally:
                if suite.poll() is None:
                    suite.terminate()
                    suite.wait()
        if status != 0:
            raise TrialError(f"the suite failed:\n{log.read_text(errors='replace')[-6000:]}")
        say(log.read_text(errors="replace").strip().splitlines()[-1].strip("= "))
        return left

    def suite_under_kills(self, killed: Sequence[str]) -> None:
        """The suite while each service is killed once; on a fast machine more partitions, until all had their turn."""
        left = self.suite(killed)
        for day in EXTRA_DAYS:
            if not left:
                return
            before, left = left, self.suite(left, extra=day)
            if left == before:
                raise TrialError(f"{day} was trained before {left[0]} could be killed")

    def celery(self) -> None:
        """The same stack with Redis and two workers; the suite finds its runs finished and one more is trained."""
        call([ROOT / "bin" / "make-env", "--celery", "--file", self.env_file])
        self.up("--scale", "worker=2")
        wait_until(lambda: self.health("worker") == "healthy", "the first worker is healthy", UP_SECONDS)
        self.suite(extra="2013-08-01")
        say("one more partition was trained by two Celery workers")
        call([ROOT / "bin" / "make-env", "--local", "--file", self.env_file])

    def script(self, name: str, folder: Path) -> str:
        """Run deploy/compose/<name> on this project."""
        env = {**self.env, "COMPOSE": " ".join(self.command())}
        return call([ROOT / "deploy" / "compose" / name, folder], env=env)[1]

    def logs(self) -> str:
        """The end of every service's log."""
        return self.compose("logs", "--no-color", "--tail", "25", check=False)[1][-15000:]


def compose_program(env: dict[str, str]) -> list[str]:
    """docker-compose 1.29 for the private daemon, which is too old for later ones; else `docker compose`."""
    return ["docker-compose"] if env else ["docker", "compose"]


def _still_running_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False
