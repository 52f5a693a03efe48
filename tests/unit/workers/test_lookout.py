"""Who comes while a batch runs is seen by another thread."""

from __future__ import annotations

import threading
import time

import pytest

from app.contract.errors import StoreUnavailable
from tests.integration.gateways import wait_until
from workers.lookout import looking


def soon_s(left_ms: float) -> float:
    return time.monotonic() + left_ms / 1e3


def test_who_has_an_earlier_deadline_is_seen() -> None:
    with looking(lambda: 10_000.0) as lookout:
        lookout.open()
        wait_until(lambda: lookout.sees_before(soon_s(20_000.0)))
        assert not lookout.sees_before(soon_s(5_000.0))


def test_nobody_is_seen_where_nobody_waits() -> None:
    looks = threading.Semaphore(0)

    def look() -> None:
        looks.release()

    with looking(look) as lookout:
        lookout.open()
        assert looks.acquire(timeout=30)
        assert looks.acquire(timeout=30)
        assert not lookout.sees_before(soon_s(1e9))


def test_closed_it_asks_nobody_and_forgets_what_it_saw() -> None:
    with looking(lambda: 10.0) as lookout:
        lookout.open()
        wait_until(lambda: lookout.sees_before(soon_s(1e6)))
        lookout.close()
        assert lookout.is_closed
        assert not lookout.is_open
        wait_until(lambda: not lookout.sees_before(soon_s(1e6)))


@pytest.mark.parametrize("error", [StoreUnavailable("down"), RuntimeError("broken")])
def test_trouble_while_looking_is_sat_out(error: Exception) -> None:
    answers: list[Exception] = [error]

    def look() -> float:
        if answers:
            raise answers.pop()
        return 10.0

    with looking(look) as lookout:
        lookout.open()
        wait_until(lambda: lookout.sees_before(soon_s(1e6)))


def test_its_thread_ends_with_the_batch() -> None:
    with looking(lambda: None):
        pass

    assert not [thread for thread in threading.enumerate() if thread.name == "lookout"]
