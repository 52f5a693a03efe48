from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from app.contract.errors import StoreUnavailable
from app.contract.ports import Claimed
from tests.builders import a_job
from tests.integration.gateways import wait_until
from workers.lease import leased

if TYPE_CHECKING:
    from collections.abc import Sequence

CLAIMS = [Claimed(a_job(name), 1, 1000.0, 0.0, 1) for name in ("one", "two")]


class Reports:
    """A queue that notes what is reported; `answers` are given in turn, the last one for ever."""

    def __init__(self, *answers: frozenset[str] | StoreUnavailable) -> None:
        self.steps: list[int] = []
        self._answers = list(answers)

    def report(self, _claims: Sequence[Claimed], step: int) -> frozenset[str]:
        self.steps.append(step)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, StoreUnavailable):
            raise answer
        return answer


def test_finished_steps_are_reported_while_the_batch_runs() -> None:
    queue: Any = Reports(frozenset({"one", "two"}))
    with leased(queue, CLAIMS, stall_s=60) as lease:
        lease.step = 3
        wait_until(lambda: 3 in queue.steps)


def test_who_no_longer_waits_is_learnt() -> None:
    queue: Any = Reports(frozenset({"two"}))
    with leased(queue, CLAIMS, stall_s=60) as lease:
        assert lease.wanted >= {"two"}
        wait_until(lambda: lease.wanted == {"two"})


def test_an_outage_of_the_store_is_sat_out() -> None:
    queue: Any = Reports(StoreUnavailable("down"), frozenset({"one"}))
    with leased(queue, CLAIMS, stall_s=60) as lease:
        wait_until(lambda: lease.wanted == {"one"})


def test_a_stalled_batch_is_no_longer_renewed() -> None:
    queue: Any = Reports(frozenset({"one", "two"}))
    with leased(queue, CLAIMS, stall_s=0.01):
        wait_until(lambda: not _keepers())


def test_nothing_is_renewed_after_the_batch() -> None:
    queue: Any = Reports(frozenset({"one"}))
    with leased(queue, CLAIMS, stall_s=60):
        pass

    assert not _keepers()


def _keepers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_nothing_is_expected_of_a_batch_that_stands_aside() -> None:
    queue: Any = Reports(frozenset({"one", "two"}))
    with leased(queue, CLAIMS, stall_s=0.01) as lease, lease.aside(60.0):
        reported = len(queue.steps)
        wait_until(lambda: len(queue.steps) > reported + 2)
        assert _keepers()


def test_a_batch_that_stands_aside_for_too_long_is_no_longer_renewed() -> None:
    queue: Any = Reports(frozenset({"one", "two"}))
    with leased(queue, CLAIMS, stall_s=0.01) as lease, lease.aside(0.01):
        wait_until(lambda: not _keepers())
