"""What a job's processes listen on while torch trains in it: addresses of 127/8 alone, by the kernel's own tables."""

from __future__ import annotations

import ipaddress
import uuid
from pathlib import Path

import pytest
from local_stack.processes import free_port

from tests.support.local_jobs import TERMINAL, Jobs, processes_with, training_request
from tests.support.waiting import wait_until

_LISTEN = "0A"

MEETS = """
import os, pathlib, time
import torch, torch.distributed as dist
dist.init_process_group("gloo")
value = torch.ones(1)
dist.all_reduce(value)
print("all have met:", int(value.item()), flush=True)
while not pathlib.Path(os.environ["GO"]).exists():
    time.sleep(0.02)
dist.barrier()
dist.destroy_process_group()
"""

ALONE = """
import os, pathlib, socket, time
from datetime import timedelta
import torch, torch.distributed as dist, torch.distributed.rpc as rpc
stores = [dist.TCPStore("localhost", 0, is_master=True), dist.TCPStore(socket.gethostname(), 0, 1, True),
          dist.TCPStore("0.0.0.0", 0, None, True, timedelta(seconds=9), False, True, None, False)]
for store in stores:
    store.set("key", "value")
again = dist.TCPStore(socket.gethostname(), stores[1].port, is_master=False)
assert again.get("key") == b"value"
shared = [dist.TCPStore("127.0.0.1", 29876, is_master=True, multi_tenant=True) for _ in range(2)]
rpc.init_rpc("me", rank=0, world_size=1, rpc_backend_options=rpc.TensorPipeRpcBackendOptions(
    init_method=f"tcp://{socket.gethostname()}:29877"))
assert rpc.rpc_sync("me", max, (1, 2)) == 2
print("all have met", flush=True)
while not pathlib.Path(os.environ["GO"]).exists():
    time.sleep(0.02)
rpc.shutdown()
"""

TWO_HOSTS = """
import json, os, socket, sys
here = json.load(open("/opt/ml/input/config/resourceconfig.json"))
try:
    first = socket.gethostbyname("algo-1")
except OSError:  # without a mount there is no /etc/hosts of the job's own
    first = "127.0.0.1"
rank, port = here["hosts"].index(here["current_host"]), os.environ["PORT"]
ways = {"static": [f"--node_rank={rank}", f"--master_addr={first}", f"--master_port={port}"],
        "c10d": ["--rdzv_backend=c10d", "--rdzv_id=x", f"--rdzv_endpoint={first}:{port}"]}
os.execvp("torchrun", ["torchrun", "--nnodes=2", "--nproc_per_node=1", *ways[os.environ["WAY"]],
                       "--no-python", "python3", "-c", os.environ["TEXT"]])
"""

MEETING = ["--no-python", "python3", "-c", MEETS]
PROGRAMS = {
    "standalone": (1, ["torchrun", "--standalone", "--nproc_per_node=2", *MEETING]),
    "module": (1, ["python3", "-m", "torch.distributed.run", "--nproc_per_node=1", *MEETING]),
    "alone": (1, ["python3", "-c", ALONE]),
    "static": (2, ["python3", "-c", TWO_HOSTS]),
    "c10d": (2, ["python3", "-c", TWO_HOSTS]),
}
QUICK = {("jobs", "standalone"), ("jobs", "static"), ("jobs", "alone"), ("rewriting_jobs", "alone")}


def has_met(log: Path) -> bool:
    return log.exists() and "all have met" in log.read_text()


def listening(pid: int) -> set[tuple[str, int]]:
    """The addresses and ports that a process listens on."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(str(entry.readlink()))
        except OSError:
            continue
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and f"socket:[{fields[9]}]" in sockets:
                text, _, port = fields[1].partition(":")
                words = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
                found.add((str(ipaddress.ip_address(b"".join(words))), int(port, 16)))
    return found


@pytest.mark.parametrize(
    ("way", "program"),
    [
        pytest.param(way, program, marks=() if (way, program) in QUICK else pytest.mark.soak)
        for way in ("jobs", "rewriting_jobs")
        for program in PROGRAMS
    ],
)
def test_nothing_of_a_job_listens_beyond_loopback(request: pytest.FixtureRequest, way: str, program: str) -> None:
    jobs: Jobs = request.getfixturevalue(way)
    mark, (hosts, command) = uuid.uuid4().hex, PROGRAMS[program]
    name, go = f"{program}-{way.replace('_', '-')}", jobs.data_dir / f"go-{mark}"
    environment = {"MARK": mark, "GO": str(go), "TEXT": MEETS, "WAY": program, "PORT": str(free_port())}
    arn = jobs.submit(
        name,
        training_request(
            command,
            Environment={**environment, "OMP_NUM_THREADS": "1"},
            ResourceConfig={"InstanceCount": hosts},
        ),
    )
    try:
        logs = [jobs.data_dir / "jobs/training" / name / f"host-{host}/output.log" for host in range(1, hosts + 1)]
        wait_until(lambda: jobs.status(arn) in TERMINAL or all(map(has_met, logs)), "all have met")
        found = set().union(*(listening(pid) for pid in processes_with(mark)))
    finally:
        go.touch()
    ended = jobs.wait(arn)
    assert ended["TrainingJobStatus"] == "Completed", jobs.log(name)[-3000:]
    assert found, "torch's store listens somewhere"
    assert {address for address, _ in found if not ipaddress.ip_address(address).is_loopback} == set()
