"""A worker killed between two steps of one batch, in the middle of another: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import JobState
from app.store import EmbeddedStore
from tests.chaos.nursery import QUEUE
from tests.contract.queueing import eventually
from tests.integration.worker_loops import MINUTE_MS, has_begun, result, state
from tests.tiny_books import book_for, job_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from app.contract.jobs import Job
    from workers.pipeline import Model


# The loose run takes itself for half as long as its deadline leaves, and waiting for its end would
# make the tight one late; both take long enough to be caught.
UNIT_MS = 2.5
LOOSE_STEPS, TIGHT_STEPS = 600, 150
SOON_MS = 8_000.0


class Nursery:
    """A process that starts others, each of them a worker."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, name: str) -> int:
        """Start a worker; return its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(name, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@pytest.fixture
def own_url() -> Iterator[str]:
    """Yield the URL of a store that no other test uses."""
    with EmbeddedStore() as store:
        yield store.url


@pytest.fixture
async def queue(own_url: str) -> AsyncIterator[RedisGatewayQueue]:
    """Yield the gateway's side, with the short leases of the workers."""
    side = RedisGatewayQueue.connect(own_url, QUEUE)
    yield side
    await side.aclose()


@pytest.fixture
def nursery(own_url: str, tmp_path: Path) -> Iterator[Nursery]:
    command = (sys.executable, "-m", "tests.chaos.nursery", own_url, str(tmp_path), str(UNIT_MS))
    with _ended(subprocess.Popen(command, stdin=-1, stdout=-1, text=True)) as process:
        yield Nursery(process)


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.communicate(timeout=30)  # the end of its input ends it, and all it started


async def endings(queue: RedisGatewayQueue, job: Job) -> list[str]:
    """Return how a job ended, as often as it did."""
    over = {JobState.DONE, JobState.FAILED, JobState.CANCELLED}
    return [event.name for event in await queue.events(job.id) if event.name in over]


async def test_both_jobs_of_a_worker_killed_during_a_pause_end_in_one_answer_each(
    queue: RedisGatewayQueue, nursery: Nursery, model: Model
) -> None:
    tight = job_for(model, book_for(model, steps=TIGHT_STEPS).plans[1])
    loose = job_for(model, book_for(model, steps=LOOSE_STEPS).plans[0], exact=True)
    first = nursery.start("first")  # before anything has a deadline: that takes its time
    await queue.submit(loose, MINUTE_MS)
    await eventually(lambda: has_begun(queue, loose), timeout_s=60)
    await queue.submit(tight, SOON_MS)
    await eventually(lambda: has_begun(queue, tight), timeout_s=60)
    assert await state(queue, loose) is JobState.RUNNING
    os.kill(first, signal.SIGKILL)
    nursery.start("second")
    made = [await result(queue, job) for job in (tight, loose)]
    known = [await queue.status(job.id) for job in (tight, loose)]

    assert [ran.worker for ran in made] == ["second"] * 2
    assert [status and status.attempt for status in known] == [2, 2]
    assert [await endings(queue, job) for job in (tight, loose)] == [["done"]] * 2
