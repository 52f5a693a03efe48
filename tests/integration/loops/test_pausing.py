"""A batch that stands back between two steps for one with an earlier deadline, for real."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import JobState, Reason
from app.contract.settings import QueueSettings
from schedules.book import PlanBook
from tests.contract.queueing import eventually
from tests.integration.worker_loops import (
    MINUTE_MS,
    QUICK,
    failure,
    has_begun,
    picture,
    pixels,
    result,
    running,
    state,
    submitted,
)
from tests.rendering import a_frame
from tests.tiny_books import book_for, costs_for, job_for
from workers.batch import prompts_of
from workers.rendering import render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from app.contract.jobs import Job
    from tests.integration.worker_loops import Running
    from workers.loop_settings import LoopSettings
    from workers.pipeline import Model

LONG = 150
SOON_MS = 20_000.0
# For the long run so much that nobody could wait for its end, and for a short one next to nothing.
UNIT_MS = 10.0


class StartSlow:
    """Starts workers for which the long run ends after the deadline of the short one."""

    def __init__(self, url: str, settings: QueueSettings, model: Model, book: PlanBook) -> None:
        self._where = url, settings
        self._what = model, book

    def __call__(
        self, patience: LoopSettings = QUICK, encode: Any = None
    ) -> AbstractContextManager[Running]:
        model, book = self._what
        costs = costs_for(model, UNIT_MS)
        if encode is not None:
            model = replace(model, family=replace(model.family, encode=encode))
        return running(*self._where, model, book, patience, costs)


class Begins:
    """Starts workers, and waits until each is in the middle of the long run."""

    def __init__(self, queue: RedisGatewayQueue, start: StartSlow, model: Model) -> None:
        self._queue = queue
        self._start = start
        self._model = model

    @asynccontextmanager
    async def __call__(
        self, patience: LoopSettings = QUICK, encode: Any = None
    ) -> AsyncIterator[tuple[Running, Job]]:
        loose = await submitted(self._queue, long_job(self._model))
        with self._start(patience, encode) as worker:
            await eventually(lambda: has_begun(self._queue, loose))
            yield worker, loose


@pytest.fixture
def start(store_url: str, queue_settings: QueueSettings, model: Model, book: PlanBook) -> StartSlow:
    return StartSlow(store_url, queue_settings, model, book)


@pytest.fixture
def begun(queue: RedisGatewayQueue, start: StartSlow, model: Model) -> Begins:
    return Begins(queue, start, model)


def long_job(model: Model) -> Job:
    return job_for(model, book_for(model, steps=LONG).plans[0], exact=True, seeds=(1,))


async def soon(queue: RedisGatewayQueue, job: Job) -> Job:
    """Submit a job whose deadline is before the predicted end of the long one."""
    await queue.submit(job, SOON_MS)
    return job


async def test_a_tight_job_comes_first_and_the_loose_one_goes_on_as_if_it_had_not(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, begun: Begins
) -> None:
    async with begun() as (worker, loose):
        tight = await soon(queue, job_for(model, book.plans[0], seeds=(2,)))
        await result(queue, tight)
        assert await state(queue, loose) is JobState.RUNNING
        made = await result(queue, loose)

    assert worker.counted("blockcache_pauses_total") == 1
    assert (made.plan.hurried_steps, made.plan.extended_steps) == (0, 0)
    frame = a_frame(model, LONG, guidance=loose.guidance_scale)
    (alone,) = render(model, prompts_of(loose), frame).images
    assert np.array_equal(await picture(queue, loose), pixels(alone))


async def test_a_pause_is_time_in_the_queue_and_not_of_the_run(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, begun: Begins
) -> None:
    async with begun() as (_, loose):
        tight = await soon(queue, job_for(model, book.plans[0]))
        paused = await result(queue, tight)
        made = await result(queue, loose)

    assert made.timing.queue_ms > paused.timing.making_ms
    assert made.timing.queue_ms + made.timing.making_ms <= made.timing.total_ms


async def test_told_not_to_pause_a_worker_goes_on(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, begun: Begins
) -> None:
    async with begun(replace(QUICK, pausing=False)) as (worker, loose):
        tight = await soon(queue, job_for(model, book.plans[0]))
        await result(queue, tight)

        assert await state(queue, loose) is JobState.DONE
    assert worker.counted("blockcache_pauses_total") == 0


async def test_a_later_deadline_is_no_reason_to_pause(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, begun: Begins
) -> None:
    async with begun() as (worker, loose):
        await result(queue, await submitted(queue, job_for(model, book.plans[0])))

        assert await state(queue, loose) is JobState.DONE
    assert worker.counted("blockcache_pauses_total") == 0


async def test_what_breaks_while_another_is_paused_leaves_that_intact(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, begun: Begins
) -> None:
    async with begun() as (worker, loose):
        # Its revision is another's: the worker finds out once it has been claimed.
        await soon(queue, job_for(model, book.plans[0], revision="another"))
        await eventually(lambda: worker.counted("blockcache_retries_total"))

        assert (await result(queue, loose)).plan.steps == LONG


async def test_a_paused_job_can_be_cancelled(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, begun: Begins
) -> None:
    async with begun() as (_, loose):
        tight = await soon(queue, job_for(model, book.plans[0]))
        await eventually(lambda: has_begun(queue, tight))
        await queue.cancel(loose.id)
        await result(queue, tight)

        assert (await failure(queue, loose)).reason is Reason.CANCELLED


async def test_a_worker_told_to_stop_gives_both_back(
    queue: RedisGatewayQueue, model: Model, begun: Begins
) -> None:
    tight = job_for(model, book_for(model, steps=LONG // 2).plans[1])
    async with begun(replace(QUICK, drain_s=0)) as (worker, loose):
        await soon(queue, tight)
        await eventually(lambda: has_begun(queue, tight))
        worker.stop()
        await eventually(worker.is_over)

    for job in (loose, tight):
        status = await queue.status(job.id)
        assert status is not None
        assert (status.state, status.attempt) == (JobState.QUEUED, 0)


async def test_a_worker_told_to_stop_finishes_both_where_there_is_time(
    queue: RedisGatewayQueue, model: Model, begun: Begins
) -> None:
    tight = job_for(model, book_for(model, steps=LONG // 2).plans[1])
    async with begun() as (worker, loose):
        await soon(queue, tight)
        await eventually(lambda: has_begun(queue, tight))
        worker.stop()
        await eventually(worker.is_over, timeout_s=60)

    assert [await state(queue, job) for job in (loose, tight)] == [JobState.DONE] * 2


async def test_out_of_memory_while_another_is_paused_leaves_that_intact(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, begun: Begins
) -> None:
    async with begun(encode=full_of("a pear", model)) as (worker, loose):
        await soon(queue, job_for(model, book.plans[0], prompt="a pear"))
        await eventually(lambda: worker.counted("blockcache_retries_total"))
        made = await result(queue, loose)

    assert (made.plan.steps, made.plan.hurried_steps) == (LONG, 0)


def full_of(prompt: str, model: Model) -> Any:
    """Return a text encoder for which the memory is too small with one prompt."""

    def encode(pipe: Any, text: str, *how: Any) -> Any:
        if text == prompt:
            raise MemoryError
        return model.family.encode(pipe, text, *how)

    return encode


async def test_what_does_not_fit_beside_a_batch_waits_for_its_end(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, begun: Begins
) -> None:
    async with begun() as (worker, loose):
        await result(queue, await soon(queue, job_for(model, book.plans[0], seeds=(1, 2, 3, 4))))

        assert await state(queue, loose) is JobState.DONE
    assert worker.counted("blockcache_pauses_total") == 0


async def test_the_lease_of_a_paused_job_is_renewed(
    store_url: str, prefix: str, model: Model, book: PlanBook
) -> None:
    settings = QueueSettings(prefix=prefix, lease_ms=300)
    queue = RedisGatewayQueue.connect(store_url, settings)
    tight = job_for(model, book_for(model, steps=LONG // 2).plans[1])
    async with Begins(queue, StartSlow(store_url, settings, model, book), model)() as (_, loose):
        await soon(queue, tight)
        made = [await result(queue, job) for job in (tight, loose)]
    attempts = [await queue.status(job.id) for job in (tight, loose)]
    await queue.aclose()

    assert made[1].timing.queue_ms > settings.lease_ms
    assert [status and status.attempt for status in attempts] == [1, 1]


async def test_a_card_says_that_earlier_deadlines_may_come_first(
    queue: RedisGatewayQueue, model: Model, start: StartSlow
) -> None:
    await submitted(queue, long_job(model))

    async def yielding() -> Any:
        return next((card for card in await queue.cards() if card.due_unix_ms), None)

    with start(replace(QUICK, drain_s=0)):
        card = await eventually(yielding)
        now = await queue.now_unix_ms()

    assert card.yields_from_unix_ms <= now < card.busy_until_unix_ms < card.due_unix_ms
    assert card.due_unix_ms - now <= MINUTE_MS
