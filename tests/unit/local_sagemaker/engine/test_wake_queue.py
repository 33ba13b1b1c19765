"""The queue of what a thread processes next: each ARN once, in order, and timers when they are due."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.engine.wake_queue import WakeQueue


@given(st.lists(st.sampled_from("abcde"), min_size=1))
def test_an_arn_that_was_woken_twice_comes_once(woken: list[str]) -> None:
    queue = WakeQueue()
    for arn in woken:
        queue.wake(arn)
    expected = list(dict.fromkeys(woken))
    assert [queue.next() for _ in expected] == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=1))
def test_past_times_come_in_their_order(timers: list[tuple[int, str]]) -> None:
    queue = WakeQueue()
    for moment, arn in timers:
        queue.wake_at(moment, arn)
    expected = list(dict.fromkeys(arn for _, arn in sorted(timers)))
    assert [queue.next() for _ in expected] == expected


def test_what_is_awake_does_not_wait_for_a_later_time() -> None:
    queue = WakeQueue()
    queue.wake_at(time.time() + 3600, "later")
    queue.wake("now")
    assert queue.next() == "now"


def test_closing_ends_a_waiting_thread_and_drops_the_rest() -> None:
    queue, found = WakeQueue(), []
    queue.wake_at(time.time() + 3600, "later")
    thread = threading.Thread(target=lambda: found.append(queue.next()))
    thread.start()
    queue.close()
    thread.join(30)
    queue.wake("more")
    assert (found, queue.next(), queue.is_closed, queue.wait_closed(0)) == ([None], None, True, True)


def test_an_open_queue_is_not_closed_after_the_wait() -> None:
    assert not WakeQueue().wait_closed(0.001)


def test_what_has_a_time_comes_then_and_the_earliest_first() -> None:
    queue, start = WakeQueue(), time.time()
    for seconds, arn in ((0.2, "late"), (0.1, "early"), (0.1, "early")):
        queue.wake_at(start + seconds, arn)
    assert (queue.next(), time.time() >= start + 0.1) == ("early", True)
    assert (queue.next(), time.time() >= start + 0.2) == ("late", True)


def test_a_time_that_another_thread_sets_wakes_the_one_that_waits() -> None:
    queue, found = WakeQueue(), []
    waiting = threading.Thread(target=lambda: found.append(queue.next()), daemon=True)
    waiting.start()
    queue.wake_at(time.time(), "set")
    waiting.join(timeout=60)
    assert found == ["set"]
