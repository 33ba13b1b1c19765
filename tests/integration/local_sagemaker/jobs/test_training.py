"""The container contract of a training job, as the program inside sees it and as S3, the log and the status show it."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest

from tests.support.local_jobs import BUCKET, ROLE, WAITS, Backend, Jobs, channel, script_request, training_request
from tests.support.waiting import wait_until


@pytest.fixture(params=["jobs", "rewriting_jobs"])
def both(request: pytest.FixtureRequest) -> Jobs:
    """The same test with a private mount of /opt/ml and with rewritten paths."""
    found: Jobs = request.getfixturevalue(request.param)
    if request.param == "jobs" and not found.supervisor.isolation.mount:
        pytest.skip("mounting is denied here")
    return found


def archive_of(backend: Backend, key: str) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(backend.read(key))) as tar:
        members = [member for member in tar if member.isfile()]
        return {member.name: tar.extractfile(member).read().decode() for member in members}  # type: ignore[union-attr]


REPORT = """
import json, os
base = os.environ["BASE"]
def read(name):
    with open(f"{base}/{name}") as file:
        return file.read()
found = {
    "hyperparameters": json.loads(read("input/config/hyperparameters.json")),
    "inputs": json.loads(read("input/config/inputdataconfig.json")),
    "resources": json.loads(read("input/config/resourceconfig.json")),
    "train": sorted(os.listdir(f"{base}/input/data/train")),
    "nested": read("input/data/train/deep/b.txt"),
    "manifest": read("input/data/listed/deep/b.txt"),
    "name": os.environ["TRAINING_JOB_NAME"], "arn": os.environ["TRAINING_JOB_ARN"], "region": os.environ["AWS_REGION"],
    "mine": os.environ["MINE"], "server": "PYTEST_CURRENT_TEST" in os.environ,
}
os.makedirs(f"{base}/model/code")
files = {"model/weights": "w", "model/code/inference.py": "i", "output/data/report.json": json.dumps(found)}
for name, text in files.items():
    with open(f"{base}/{name}", "w") as file:
        file.write(text)
"""


def test_the_program_finds_what_the_contract_says(both: Jobs, backend: Backend) -> None:
    backend.put("contract/train/a.txt", "A")
    backend.put("contract/train/deep/b.txt", "B")
    backend.put("contract/list.json", json.dumps([{"prefix": f"s3://{BUCKET}/contract/train/"}, "deep/b.txt"]))
    listed = channel("listed", "contract/list.json", S3DataType="ManifestFile")
    request = script_request(
        REPORT,
        Environment={"BASE": "/opt/ml", "MINE": "it's $HOME"},
        HyperParameters={"epochs": "3"},
        InputDataConfig=[channel("train", "contract/train"), listed],
    )
    name = f"contract-{both.supervisor.isolation.mount}"
    ended = both.run(name, request)
    assert ended["TrainingJobStatus"] == "Completed", both.log(name)
    assert ended["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://{BUCKET}/out/{name}/output/model.tar.gz"}
    assert archive_of(backend, f"out/{name}/output/model.tar.gz") == {"weights": "w", "code/inference.py": "i"}
    found = json.loads(archive_of(backend, f"out/{name}/output/output.tar.gz")["report.json"])
    assert found["hyperparameters"] == {"epochs": "3"}
    assert found["train"] == ["a.txt", "deep"]
    assert (found["nested"], found["manifest"]) == ("B", "B")
    assert found["inputs"]["train"] == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    resources = found["resources"]
    assert (resources["current_host"], resources["hosts"], resources["current_instance_type"]) == (
        "algo-1",
        ["algo-1"],
        "ml.m5.large",
    )
    assert (found["name"], found["arn"]) == (name, both.arn("training", name))
    assert (found["region"], found["mine"], found["server"]) == ("us-east-1", "it's $HOME", False)


def test_statuses_come_in_the_services_order_with_whole_transitions(jobs: Jobs) -> None:
    arn = jobs.submit("order", script_request("print('x')"))
    ended = jobs.wait(arn)
    order = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert jobs.events.history[arn] == order
    transitions = ended["SecondaryStatusTransitions"]
    assert [entry["Status"] for entry in transitions] == order
    assert all(entry["StartTime"] <= entry["EndTime"] for entry in transitions)
    assert ended["TrainingStartTime"] <= ended["TrainingEndTime"]
    assert ended["BillableTimeInSeconds"] >= 1


def test_logs_reach_cloudwatch_and_metrics_keep_their_last_value(jobs: Jobs, backend: Backend) -> None:
    text = "for n in (1, 2, 3): print(f'loss={n}.5'); print(f'auc=0.{n}')\nprint('loss=nan'); print('done \u00e9')"
    definitions = [{"Name": "Loss", "Regex": "loss=([0-9.]+|nan)"}, {"Name": "AUC", "Regex": "^auc=(.*)$"}]
    request = script_request(text)
    request["AlgorithmSpecification"]["MetricDefinitions"] = definitions
    ended = jobs.run("logs", request)
    assert {m["MetricName"]: m["Value"] for m in ended["FinalMetricDataList"]} == {"Loss": 3.5, "AUC": 0.3}
    assert all(m["Timestamp"] for m in ended["FinalMetricDataList"])
    client = backend.client("logs")
    (stream,) = client.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="logs/algo-1-"
    )["logStreams"]
    events = client.get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert [event["message"] for event in events][-2:] == ["loss=nan", "done é"]
    series = (jobs.data_dir / "jobs/training/logs/host-1/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["value"] for line in series if '"Loss"' in line][:3] == [1.5, 2.5, 3.5]


@pytest.mark.parametrize("source", ["nothing/here", "contract/trai/x"])
def test_a_prefix_that_matches_nothing_fails_in_the_services_words(jobs: Jobs, source: str) -> None:
    name = "nothing-" + source.replace("/", "-")
    ended = jobs.run(name, script_request("print('never')", InputDataConfig=[channel("train", source)]))
    assert (ended["TrainingJobStatus"], ended["SecondaryStatus"]) == ("Failed", "Failed")
    reason = ended["FailureReason"]
    assert reason.startswith(
        f'ClientError: Data download failed:No S3 objects found under S3 URL "s3://{BUCKET}/{source}" given in input '
        "data source. Please ensure that the bucket exists in the selected region (us-east-1)"
    )
    assert f'the role "{ROLE}" has "s3:ListBucket" permissions on bucket "{BUCKET}"' in reason
    assert "ModelArtifacts" not in ended


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise ValueError('no such column: x')", ["ValueError: no such column: x", ", exit code: 1"]),
        ("import sys; sys.exit(7)", ["AlgorithmError: ", ", exit code: 7"]),
        ("import os; os.kill(os.getpid(), 9)", ["AlgorithmError: ", ", exit code: 137"]),
        ("open('/opt/ml/output/failure','w').write('my words'); raise SystemExit(3)", ["my words, exit code: 3"]),
    ],
)
def test_a_failure_says_why(jobs: Jobs, text: str, expected: list[str]) -> None:
    name = f"why-{abs(hash(text))}"
    ended = jobs.run(name, script_request(text))
    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("AlgorithmError: ")
    assert len(ended["FailureReason"]) <= 1024
    for part in expected:
        assert part in ended["FailureReason"]


def test_a_failed_job_leaves_its_output_but_no_model(jobs: Jobs, backend: Backend) -> None:
    text = (
        "open('/opt/ml/output/data/partial.txt','w').write('p'); open('/opt/ml/model/m','w').write('m')\n"
        "raise SystemExit(1)"
    )
    jobs.run("half", script_request(text))
    assert archive_of(backend, "out/half/output/output.tar.gz") == {"partial.txt": "p"}
    assert not backend.path("out/half/output/model.tar.gz").exists()


def test_a_program_that_does_not_exist_fails_like_in_a_shell(jobs: Jobs) -> None:
    ended = jobs.run("missing", training_request(["/no/such/program"]))
    assert "/no/such/program: No such file or directory, exit code: 127" in ended["FailureReason"]


def test_a_program_of_the_training_toolkit_that_is_not_installed(jobs: Jobs) -> None:
    request = script_request("print('never')", HyperParameters={"sagemaker_program": "train.py"})
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    ended = jobs.run("refused-hyperparameters", request)
    assert ended["TrainingJobStatus"] == "Failed"
    assert "the job has no ContainerEntrypoint, and the job Python has no" in ended["FailureReason"]


def test_two_hosts_see_each_other_and_share_their_models(jobs: Jobs, backend: Backend) -> None:
    text = """
import json, os, socket
config = json.load(open("/opt/ml/input/config/resourceconfig.json"))
me = config["current_host"]
addresses = {host: socket.gethostbyname(host) for host in config["hosts"]}
found = {"addresses": addresses, "shard": sorted(os.listdir("/opt/ml/input/data/train"))}
open(f"/opt/ml/model/{me}.json", "w").write(json.dumps(found))
"""
    for number in range(4):
        backend.put(f"shards/{number}", "x")
    sharded = channel("train", "shards/", S3DataDistributionType="ShardedByS3Key")
    ended = jobs.run("pair", script_request(text, ResourceConfig={"InstanceCount": 2}, InputDataConfig=[sharded]))
    assert ended["TrainingJobStatus"] == "Completed", jobs.log("pair")
    found = {n: json.loads(t) for n, t in archive_of(backend, "out/pair/output/model.tar.gz").items()}
    assert set(found) == {"algo-1.json", "algo-2.json"}
    first, second = found["algo-1.json"], found["algo-2.json"]
    assert first["addresses"] == second["addresses"]
    assert len(set(first["addresses"].values())) == 2
    assert first["shard"] + second["shard"] == ["0", "2", "1", "3"]


def test_one_failed_host_ends_the_job(jobs: Jobs) -> None:
    text = """
import json
if json.load(open("/opt/ml/input/config/resourceconfig.json"))["current_host"] == "algo-2":
    raise SystemExit(5)
"""
    ended = jobs.run("one-fails", script_request(text + WAITS, ResourceConfig={"InstanceCount": 2}))
    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"].endswith(", exit code: 5")


def test_jobs_wait_for_a_slot(backend: Backend, tmp_path: Any) -> None:
    single = Jobs(backend, tmp_path, max_jobs=1)
    arns = [single.submit(f"queued-{n}", script_request("import time; time.sleep(0.2)")) for n in range(3)]
    wait_until(lambda: all(single.status(arn) == "Completed" for arn in arns), "all end")
    starts = [single.events.records[arn]["TrainingStartTime"] for arn in arns]
    ends = [single.events.records[arn]["TrainingEndTime"] for arn in arns]
    assert starts[1] >= ends[0]
    assert starts[2] >= ends[1]
    single.supervisor.shutdown()
