"""bin/airflow-local: the stack in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from local_stack.errors import StackError
from local_stack.settings import ROOT, USERNAME, Home
from local_stack.stack import default_home, running_stack

console = Console(stderr=False, highlight=False)


def main(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of Airflow's UI on 127.0.0.1; 0 picks a free port.")
    ] = 8080,
    sagemaker_port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port of the local SageMaker; 0 reuses the last port or picks a free one."),
    ] = 0,
    home: Annotated[
        Path | None, typer.Option(help="Folder for databases, models and logs. Default: var/ here.")
    ] = None,
    max_jobs: Annotated[
        int | None, typer.Option(min=0, help="Maximum number of concurrent training jobs. Default: one per core.")
    ] = None,
) -> None:
    """Start Airflow with the local SageMaker, print their addresses, and stop everything on Ctrl-C or SIGTERM."""
    stopped = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # a second signal must not interrupt the shutdown of the children
        if stopped.is_set():
            return
        stopped.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        with running_stack(
            default_home(home),
            web_port=port,
            sagemaker_port=sagemaker_port,
            max_jobs=max_jobs,
            progress=lambda text: console.print(f"[dim]{text} ...[/dim]"),
        ) as stack:
            console.print(f"\n[bold]Airflow[/bold]     {stack.url}   user: {USERNAME}   password: {stack.password}")
            console.print(f"[bold]SageMaker[/bold]   {stack.aws['AWS_ENDPOINT_URL']}")
            console.print(f"            for boto3, the SDK and aws: {_environment_command(stack.home)}", soft_wrap=True)
            console.print(f"[bold]Commands[/bold]    . {stack.home.shell}   then: airflow dags list", soft_wrap=True)
            console.print(f"[bold]Models[/bold]      {stack.home.sagemaker / 's3'}", soft_wrap=True)
            console.print(f"[bold]Logs[/bold]        {stack.home.logs}\n\nCtrl-C stops everything.", soft_wrap=True)
            while not stopped.wait(timeout=1):
                stack.processes.check()
    except KeyboardInterrupt:
        console.print("stopped; all processes have ended")
    except StackError as error:
        Console(stderr=True, highlight=False).print(
            f"airflow-local: {error}", style="red", soft_wrap=True, markup=False
        )
        raise typer.Exit(1) from None


def _environment_command(home: Home) -> str:
    """The shell command that sets the environment of a client of the local SageMaker."""
    module = f"cd {ROOT} && .venv/bin/python -m local_sagemaker env --data-dir {home.sagemaker}"
    return f'eval "$({module})"'


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app(prog_name="bin/airflow-local")
