"""The S3 server's process: `python -m local_sagemaker.s3`, started by the one that serves everything else."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

from local_sagemaker.errors import StartError
from local_sagemaker.s3.app import Application
from local_sagemaker.s3.protocol.authentication import Keys
from local_sagemaker.s3.server import CANNOT_START
from local_sagemaker.s3.storage.catalog import Catalog
from local_sagemaker.s3.storage.objects import Objects


def main() -> None:
    """Serve until the process ends. An object that is half-written by then is never visible."""
    parser = argparse.ArgumentParser(prog="python -m local_sagemaker.s3", description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the buckets are")
    parser.add_argument("--catalog", type=Path, required=True, help="the SQLite file for object metadata")
    parser.add_argument("--listener", type=int, required=True, help="the file descriptor of the listening socket")
    parser.add_argument("--any-host", action="store_true", help="accept every host name")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # aiohttp answers malformed requests with 400; they are not errors of the server
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    keys = Keys(os.environ.pop("LOCAL_S3_ACCESS_KEY"), os.environ.pop("LOCAL_S3_SECRET_KEY"))
    try:
        storage = Objects(arguments.folder, Catalog(arguments.catalog))
    except StartError as error:
        print(error, file=sys.stderr)
        sys.exit(CANNOT_START)
    application = Application(storage, keys, own_hosts_only=not arguments.any_host)
    asyncio.run(_serve(application, socket.socket(fileno=arguments.listener)))


async def _serve(application: Application, listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(application.protocol_factory(), sock=listener, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    main()
