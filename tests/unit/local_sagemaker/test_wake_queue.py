"""The queue of the threads that decide: what is woken comes once, what has a time comes then, and a close ends it."""

from __future__ import annotations

import threading
import time

from local_sagemaker.engine.wake_queue import WakeQueue


def test_what_is_woken_comes_once_in_order() -> None:
    queue = WakeQueue()
    for arn in ("a", "b", "a", "c"):
        queue.wake(arn)
    assert [queue.next(), queue.next(), queue.next()] == ["a", "b", "c"]
    queue.wake("a")
    assert queue.next() == "a"


def test_what_has_a_time_comes_then_and_the_earliest_first() -> None:
    queue, start = WakeQueue(), time.time()
    for seconds, arn in ((0.2, "late"), (0.1, "early"), (0.1, "early"), (-5, "past")):
        queue.wake_at(start + seconds, arn)
    queue.wake("now")
    assert [queue.next(), queue.next()] == ["now", "past"]
    assert (queue.next(), time.time() >= start + 0.1) == ("early", True)
    assert (queue.next(), time.time() >= start + 0.2) == ("late", True)


def test_a_time_that_another_thread_sets_wakes_the_one_that_waits() -> None:
    queue, found = WakeQueue(), []
    waiting = threading.Thread(target=lambda: found.append(queue.next()), daemon=True)
    waiting.start()
    queue.wake_at(time.time(), "set")
    waiting.join(timeout=60)
    assert found == ["set"]


def test_a_close_ends_whoever_waits_and_what_is_left_stays() -> None:
    queue, found = WakeQueue(), []
    waiting = threading.Thread(target=lambda: found.append(queue.next()), daemon=True)
    waiting.start()
    assert not queue.wait_closed(0)
    queue.close()
    waiting.join(timeout=60)
    queue.wake("later")
    assert (found, queue.next(), queue.wait_closed(60), queue.is_closed) == ([None], None, True, True)
