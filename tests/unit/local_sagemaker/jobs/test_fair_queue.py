"""The queue of jobs: every job once, an owner's jobs in order, and no owner twice while another waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.jobs.fair_queue import FairQueue
from local_sagemaker.jobs.spec import JobSpec


def queue_of(owners: list[str]) -> FairQueue:
    queue = FairQueue()
    for number, owner in enumerate(owners):
        queue.put(job(number, owner))
    return queue


def job(number: int, owner: str) -> JobSpec:
    return JobSpec("training", f"{number}", f"arn:{number:03}", {}, owner)


OWNERS = st.lists(st.sampled_from("abcd"), max_size=20)


@given(OWNERS)
def test_owners_take_turns(owners: list[str]) -> None:
    queue = queue_of(owners)
    taken = [queue.take() for _ in owners]
    assert sorted(spec.arn for spec in taken) == [f"arn:{number:03}" for number in range(len(owners))]
    for owner in set(owners):
        mine = [spec.arn for spec in taken if spec.owner == owner]
        assert mine == sorted(mine)
    for place, spec in enumerate(taken):
        earlier = sum(other.owner == spec.owner for other in taken[:place])
        waiting = {other.owner for other in taken[place:]}
        assert all(sum(other.owner == name for other in taken[:place]) >= earlier for name in waiting)


def test_a_new_owner_neither_waits_for_a_long_queue_nor_overtakes_it() -> None:
    queue = queue_of(["a"] * 20)
    for _ in range(10):
        queue.take()
    for number in range(50, 60):
        queue.put(job(number, "b"))
    assert [queue.take().owner for _ in range(10)].count("b") == 5


def test_jobs_without_an_owner_do_not_share_a_turn() -> None:
    queue = queue_of(["", "", "a", "a"])
    assert [queue.take().name for _ in range(4)] == ["0", "1", "2", "3"]


def test_a_removed_job_does_not_come() -> None:
    queue = queue_of(["a", "b"])
    removed = queue.remove("arn:000")
    assert removed is not None
    assert (removed.name, queue.remove("arn:000"), len(queue), queue.take().name) == ("0", None, 1, "1")
    with pytest.raises(KeyError):
        queue.take()
