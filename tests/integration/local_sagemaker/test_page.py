"""The pages at / and /ui, as a browser without scripts gets them."""

from __future__ import annotations

import http.client
import re
import uuid
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from .conftest import PASSES, WAITS, Service, training, training_arguments


def get(server: Any, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.endpoint_url.removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content


def well_formed(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page.removeprefix("<!doctype html>"))


def test_pages_show_an_execution_with_its_job(service: Service) -> None:
    evil = "<script>alert('x')</script>"
    script = f'echo "{evil}"; echo loss=0.5; echo loss=0.25'
    name = service.create(
        training("Train", script, service.output), {**PASSES, "DependsOn": ["Train"]},
        parameters=[{"Name": "Note", "Type": "String", "DefaultValue": evil}],
    )  # fmt: skip
    arn = service.start(name, PipelineExecutionDisplayName="page-test", PipelineExecutionDescription=evil)
    service.wait(arn, "Succeeded")
    execution_id = arn.rsplit("/", 1)[-1]
    status, front = get(service.server, "/")
    assert (status, f"/ui/executions/{execution_id}" in front, "page-test" in front) == (200, True, True)
    status, page = get(service.server, f"/ui/executions/{execution_id}")
    job_link = re.search(r'href="(/ui/jobs/training/[^"]+)"', page)
    assert job_link is not None
    status, job = get(service.server, job_link[1])
    assert "&lt;script&gt;" in job
    assert "loss: from 0.5 to 0.25" in job
    assert '<h2 id="log">Log of host-1</h2>' in job
    assert f'<a href="/ui/executions/{execution_id}">page-test, step Train</a>' in job
    assert str(service.server.data_dir / "jobs" / "training") in job
    for text in (front, page, job, get(service.server, "/ui/jobs")[1]):
        assert "<script" not in text
        well_formed(text)


def follow(server: Any, path: str, word: str) -> list[list[str]]:
    """What each page lists, from `path` on along the links of that name."""
    found = []
    for _ in range(1000):
        status, page = get(server, path)
        assert status == 200
        well_formed(page)
        found.append(re.findall(r'<td><a href="/ui/(?:executions|jobs/training|jobs/processing)/([^"]+)"', page))
        link = re.search(rf'<a href="([^"]+)"[^>]*>{word}</a>', page)
        if link is None:
            return found
        path = link[1]
    raise AssertionError(f"the links {word} have no end")


def last_page(server: Any, path: str) -> str:
    while link := re.search(r'<a href="([^"]+)"[^>]*>Older</a>', get(server, path)[1]):
        path = link[1]
    return path


def start_many(service: Service) -> list[str]:
    name = service.create()
    return [service.start(name).rsplit("/", 1)[-1] for _ in range(52)]


def create_many(service: Service) -> list[str]:
    names = [f"many-{uuid.uuid4().hex[:12]}" for _ in range(52)]
    for name in names:
        service.sagemaker.create_training_job(**training_arguments(WAITS, service.output), TrainingJobName=name)
    for name in reversed(names):
        service.sagemaker.stop_training_job(TrainingJobName=name)
    return names


@pytest.mark.parametrize(("path", "make"), [("/", start_many), ("/ui/jobs", create_many)])
def test_long_lists_have_pages_that_lead_there_and_back(
    service: Service, path: str, make: Callable[[Service], list[str]]
) -> None:
    made = make(service)
    down = follow(service.server, path, "Older")
    assert len(down) >= 2
    listed = [item for page in down for item in page]
    assert [item for item in listed if item in made] == made[::-1], "each once, the newest first"
    up = follow(service.server, last_page(service.server, path), "Newer")
    assert up[-1] == down[0], "the way back ends on the newest page"
    assert set(listed) == {item for page in up for item in page}, "and skips nothing"
    assert follow(service.server, f"{path}?before=1", "Newest")[1] == down[0]
    assert follow(service.server, f"{path}?before=x&amp;after=-1", "none") == [down[0]]


@pytest.mark.parametrize(
    "path", ["/nothing", "/ui/executions/zzzzzzzzzzzz", "/ui/jobs/training/../../x", "/ui/jobs/other/x"]
)
def test_missing_pages(service: Service, path: str) -> None:
    status, page = get(service.server, path)
    assert status == 404
    assert [link.get("href") for link in well_formed(page).iter("a")] == ["/", "/ui/jobs"]


def test_a_foreign_name_for_this_machine_sees_nothing(service: Service) -> None:
    status, text = get(service.server, "/", Host="evil.example:80")
    assert (status, "only localhost" in text) == (403, True)


def test_health(service: Service) -> None:
    assert get(service.server, "/health", Host="anything") == (200, "ok\n")


def test_pages_show_a_group_of_models_and_its_versions(service: Service) -> None:
    group = f"group-{uuid.uuid4().hex[:8]}"
    service.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    service.s3.put_object(Bucket=service.bucket, Key="output/model.tar.gz", Body=b"model")
    package = service.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        InferenceSpecification={"Containers": [{"Image": "i", "ModelDataUrl": f"{service.output}/model.tar.gz"}]},
        CustomerMetadataProperties={"Validation AUC ROC": "0.75"},
    )["ModelPackageArn"]
    service.sagemaker.update_model_package(
        ModelPackageArn=package, ModelApprovalStatus="Rejected", ApprovalDescription="<b>worse</b>"
    )
    status, listing = get(service.server, f"/ui/packages/{group}")
    assert (status, f'href="/ui/packages/{group}/1"' in listing, "Rejected" in listing) == (200, True, True)
    status, page = get(service.server, f"/ui/packages/{group}/1")
    assert (status, "0.75" in page, package in page, "&lt;b&gt;worse" in page) == (200, True, True, True)
    for text in (listing, page):
        well_formed(text)
    assert [get(service.server, f"/ui/packages/{name}")[0] for name in ("nobody", f"{group}/2")] == [404, 404]
