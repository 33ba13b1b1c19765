"""The command line: `python -m local_sagemaker serve|env|interrupt|gc`."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from local_sagemaker import environment
from local_sagemaker.errors import StartError
from local_sagemaker.names import LOOPBACK

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="A local SageMaker that really runs pipelines and jobs."
)

DataDir = Annotated[Path, typer.Option(help="Folder for everything: database, buckets, jobs.")]


def _fail(error: StartError) -> typer.Exit:
    typer.echo(f"local_sagemaker: {error}", err=True)
    return typer.Exit(1)


def _keys(data_dir: Path, host: str) -> tuple[str, str]:
    """The key pair: from the environment, from the server before, else a new one."""
    access, secret = (os.environ.get(f"LOCAL_SAGEMAKER_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    if access and secret:
        return access, secret
    if host not in LOOPBACK:
        raise StartError(
            f"--host {host} can be reached from other machines: set LOCAL_SAGEMAKER_ACCESS_KEY_ID and"
            " LOCAL_SAGEMAKER_SECRET_ACCESS_KEY to the keys that clients must have"
        )
    try:
        earlier = environment.load(data_dir)
        return earlier["AWS_ACCESS_KEY_ID"], earlier["AWS_SECRET_ACCESS_KEY"]
    except (StartError, KeyError, ValueError):
        return f"AKIALOCAL{secrets.token_hex(6).upper()}"[:20], secrets.token_hex(20)


@app.command()
def serve(
    data_dir: DataDir,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the API; 0 takes any free one.")] = 4600,
    s3_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of S3; 0 takes the last one, else any.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another one than loopback needs keys.")
    ] = "127.0.0.1",
    max_jobs: Annotated[int, typer.Option(min=0, help="Jobs at once; 0 means one per core.")] = 0,
    job_python: Annotated[str, typer.Option(help="The Python that runs the jobs.")] = sys.executable,
    stop_grace: Annotated[float, typer.Option(min=0, help="Seconds between SIGTERM and SIGKILL.")] = 120.0,
    package_index: Annotated[
        str, typer.Option(envvar="PIP_INDEX_URL", help="The index behind every CodeArtifact repository.")
    ] = "https://pypi.org/simple",
    throttle: Annotated[
        float,
        typer.Option(min=0, help="Calls of one action per second before ThrottlingException; 0: no limit."),
    ] = 0,
) -> None:
    """Serve in the foreground; prints the client's environment when ready, ends on SIGTERM or Ctrl-C."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("waitress.queue", "werkzeug", "botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(name).setLevel(logging.ERROR)
    data_dir = data_dir.expanduser().resolve()
    try:
        from local_sagemaker.server import Server, Settings

        access, secret = _keys(data_dir, host)
        settings = Settings(
            data_dir=data_dir,
            port=port,
            s3_port=s3_port,
            host=host,
            max_jobs=max_jobs or os.cpu_count() or 1,
            job_python=job_python,
            stop_grace_seconds=stop_grace,
            access_key=access,
            secret_key=secret,
            package_index=package_index,
            throttle=throttle,
        )
        server = Server(settings)
        server.start()
    except StartError as error:
        raise _fail(error) from None
    except ModuleNotFoundError as error:  # installed without what only the server needs
        missing = f'the module {error.name!r} is not installed: pip install ".[local]" in the checkout'
        raise _fail(StartError(missing)) from None
    typer.echo(environment.export_lines(server.environment), nl=False)
    sys.stdout.flush()
    server.serve()


@app.command()
def env(data_dir: DataDir) -> None:
    """Print the client's environment again: eval "$(python -m local_sagemaker env --data-dir DIR)"."""
    try:
        typer.echo(environment.export_lines(environment.load(data_dir.expanduser().resolve())), nl=False)
    except StartError as error:
        raise _fail(error) from None


@app.command()
def interrupt(
    data_dir: DataDir, job: Annotated[str, typer.Argument(help="Name of a managed spot training job.")]
) -> None:
    """Take a training job's instance away as a spot interruption does."""
    from local_sagemaker.client import call

    try:
        call(environment.load(data_dir.expanduser().resolve()), "InterruptTrainingJob", {"TrainingJobName": job})
    except StartError as error:
        raise _fail(error) from None


@app.command()
def gc(
    data_dir: DataDir,
    older_than: Annotated[str, typer.Option(help="ISO 8601 duration: what ended longer ago goes.")] = "P30D",
    dry_run: Annotated[bool, typer.Option(help="Only say what would go.")] = False,
) -> None:
    """Forget old executions and jobs with their logs and job folders; a server may run meanwhile. S3 is not touched."""
    from local_sagemaker.definition.duration import duration_seconds
    from local_sagemaker.gc import collect

    seconds = duration_seconds(older_than)
    data_dir = data_dir.expanduser().resolve()
    try:
        if seconds is None:
            raise StartError(f"--older-than '{older_than}' is no ISO 8601 duration such as P30D or PT12H")
        environment.load(data_dir)
        found = collect(data_dir, older_than_seconds=seconds, dry_run=dry_run)
    except StartError as error:
        raise _fail(error) from None
    typer.echo(f"{'would forget' if dry_run else 'forgot'} {found}")


if __name__ == "__main__":
    app(prog_name="python -m local_sagemaker")
