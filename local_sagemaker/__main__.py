"""The command line: `python -m local_sagemaker serve|env|interrupt|gc`."""

from __future__ import annotations

import argparse
import logging
import os
import re
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from local_sagemaker import __version__
from local_sagemaker.addresses import is_loopback, listening_address
from local_sagemaker.client import environment as client_environment
from local_sagemaker.errors import StartError
from local_sagemaker.requests.functions import FUNCTION_ARN


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 1 after printing an error, 2 for invalid arguments."""
    arguments = parser().parse_args(argv)
    arguments.data_dir = arguments.data_dir.expanduser().resolve()
    try:
        arguments.run(arguments)
    except StartError as error:
        print(f"local_sagemaker: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:  # installed without the server's dependencies
        missing = (
            f'the module {str(error.name).partition(".")[0]!r} is not installed: pip install ".[local]" in the checkout'
        )
        print(f"local_sagemaker: {missing}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    script = Path(sys.argv[0]).name
    top = argparse.ArgumentParser(
        prog=script if script == "local-sagemaker" else "python -m local_sagemaker",
        description="A local SageMaker that runs pipelines and jobs for real.",
    )
    top.add_argument("--version", action="version", version=f"local-sagemaker {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for run, add in ((serve, _serve_options), (env, None), (interrupt, _interrupt_options), (gc, _gc_options)):
        command = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        command.add_argument(
            "--data-dir", type=Path, required=True, metavar="DIR", help="folder for all data: database, buckets, jobs"
        )
        if add is not None:
            add(command)
    return top


def _serve_options(command: argparse.ArgumentParser) -> None:
    _address_options(command.add_argument_group("addresses"))
    _job_options(command.add_argument_group("jobs"))
    _step_options(command.add_argument_group("steps"))
    _fault_options(command.add_argument_group("simulated faults"))


def _address_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--port", type=_port, default=4600, help="port of the API (default: 4600); 0 picks a free port")
    add(
        "--s3-port",
        type=_port,
        default=0,
        help="port of S3 (default: 0, which reuses the last port or picks a free one)",
    )
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1); other than loopback requires access keys",
    )


def _job_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--max-jobs",
        type=_count,
        default=0,
        metavar="N",
        help="maximum number of concurrent jobs (default: 0, which means one per core)",
    )
    add(
        "--job-python",
        type=_program,
        default=sys.executable,
        metavar="PYTHON",
        help="Python interpreter that runs the jobs (default: the server's own)",
    )
    add(
        "--image",
        action="append",
        type=_pattern,
        default=os.environ.get("LOCAL_SAGEMAKER_IMAGES", "").split(),
        metavar="PATTERN",
        help="also run jobs whose image matches this shell pattern, in addition to AWS's PyTorch containers; it"
        " must match the whole URI, such as '*/my-training:*'; may be repeated. LOCAL_SAGEMAKER_IMAGES"
        " can contain a space-separated list",
    )
    add(
        "--stop-grace",
        type=_positive,
        default=120.0,
        metavar="SECONDS",
        help="time between SIGTERM and SIGKILL (default: 120)",
    )
    add(
        "--package-index",
        type=_url,
        default=os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple",
        metavar="URL",
        help="package index that CodeArtifact repositories serve (default: PIP_INDEX_URL, or PyPI)",
    )


def _step_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--callback-hook",
        type=_hook,
        metavar="URL",
        help="HTTP URL on this machine that receives the messages of Callback steps as POST requests; without it,"
        " they are only written to callbacks/QUEUE in the data folder",
    )
    add(
        "--lambda",
        action="append",
        dest="functions",
        type=_function,
        default=[],
        metavar="ARN=MODULE:FUNCTION",
        help="Python function that a Lambda step with this FunctionArn calls; the module is imported from the current"
        " folder by the interpreter that runs the jobs; may be repeated",
    )


def _fault_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--no-capacity",
        action="append",
        type=_instance_type,
        default=[],
        metavar="TYPE",
        help="simulate an instance type without capacity, such as ml.g5.12xlarge: a job uses the next of its"
        " InstancePreferences, or fails with CapacityError; may be repeated",
    )
    add(
        "--throttle",
        type=_positive,
        default=0.0,
        metavar="N",
        help="calls per second and action before ThrottlingException (default: 0, no limit)",
    )


def _interrupt_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("job", metavar="JOB", help="name of a managed spot training job")


def _gc_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--older-than",
        default="P30D",
        metavar="DURATION",
        help="delete what ended longer ago than this (default: P30D)",
    )
    command.add_argument("--dry-run", action="store_true", help="only print what would be deleted")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of 0 or more")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of 0 or more")
    return value


def _pattern(text: str) -> str:
    if not text or any(character.isspace() for character in text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a pattern for an image URI")
    return text


def _instance_type(text: str) -> str:
    if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not an instance type such as ml.g5.12xlarge")
    return text


def _program(text: str) -> str:
    if shutil.which(text) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not an executable program")
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"'{text}' is not an http or https URL")
    return text


def _hook(text: str) -> str:
    target = urlsplit(text)
    try:
        is_local = target.scheme == "http" and is_loopback(listening_address(target.hostname or ""))
        target.port  # noqa: B018 - raises ValueError
    except (StartError, ValueError):
        is_local = False
    if not is_local:
        raise argparse.ArgumentTypeError(f"'{text}' is not an http URL on this machine, such as http://127.0.0.1:8000/")
    return text


def _function(text: str) -> tuple[str, str]:
    arn, _, handler = text.partition("=")
    if not FUNCTION_ARN.fullmatch(arn) or not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", handler):
        raise argparse.ArgumentTypeError(
            f"'{text}' must be ARN=MODULE:FUNCTION, such as"
            " arn:aws:lambda:us-east-1:123456789012:function:my-function=my_module:handler"
        )
    return arn, handler


def _keys(data_dir: Path, host: str) -> tuple[str, str]:
    """The key pair from the environment, else from the previous server, else a new one."""
    access, secret = (os.environ.get(f"LOCAL_SAGEMAKER_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    if access and secret:
        return access, secret
    if not is_loopback(listening_address(host)):
        raise StartError(
            f"--host {host} can be reached from other machines: set LOCAL_SAGEMAKER_ACCESS_KEY_ID and"
            " LOCAL_SAGEMAKER_SECRET_ACCESS_KEY to the keys that clients must use"
        )
    try:
        earlier = client_environment.load(data_dir)
        return earlier["AWS_ACCESS_KEY_ID"], earlier["AWS_SECRET_ACCESS_KEY"]
    except (StartError, KeyError):
        return f"AKIALOCAL{secrets.token_hex(6).upper()}"[:20], secrets.token_hex(20)


def serve(arguments: argparse.Namespace) -> None:
    """Serve in the foreground; print the client's environment when ready, and end on SIGTERM or Ctrl-C."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("waitress.queue", "werkzeug", "botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from local_sagemaker.server import Server, Settings

    os.umask(0o077)  # other users of this machine must not read the keys, logs and data in the data folder
    access, secret = _keys(arguments.data_dir, arguments.host)
    server = Server(
        Settings(
            data_dir=arguments.data_dir,
            port=arguments.port,
            s3_port=arguments.s3_port,
            host=arguments.host,
            max_jobs=arguments.max_jobs or os.cpu_count() or 1,
            job_python=arguments.job_python,
            stop_grace_seconds=arguments.stop_grace,
            access_key=access,
            secret_key=secret,
            package_index=arguments.package_index,
            throttle=arguments.throttle,
            images=tuple(arguments.image),
            no_capacity=tuple(arguments.no_capacity),
            callback_hook=arguments.callback_hook,
            functions=dict(arguments.functions),
        )
    )
    server.start()
    print(client_environment.export_lines(server.environment), end="", flush=True)
    server.serve()


def env(arguments: argparse.Namespace) -> None:
    """Print the client's environment again, for eval in a shell."""
    print(client_environment.export_lines(client_environment.load(arguments.data_dir)), end="")


def interrupt(arguments: argparse.Namespace) -> None:
    """Simulate a spot interruption of a managed spot training job."""
    from local_sagemaker.client.local_action import call_local_action

    call_local_action(
        client_environment.load(arguments.data_dir), "InterruptTrainingJob", {"TrainingJobName": arguments.job}
    )


def gc(arguments: argparse.Namespace) -> None:
    """Delete old executions and jobs with their logs and job folders, also while a server runs; S3 is unchanged."""
    from local_sagemaker.definition.duration import duration_seconds
    from local_sagemaker.store.retention import collect

    seconds = duration_seconds(arguments.older_than)
    if seconds is None:
        raise StartError(f"--older-than '{arguments.older_than}' must be an ISO 8601 duration such as P30D or PT12H")
    client_environment.load(arguments.data_dir)
    found = collect(arguments.data_dir, older_than_seconds=seconds, dry_run=arguments.dry_run)
    print(f"{'would delete' if arguments.dry_run else 'deleted'} {found}")


if __name__ == "__main__":
    sys.exit(main())
