"""The worker loop with a real model, a real queue and a real store."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import JobState, Reason
from app.contract.settings import QueueSettings
from tests.builders import a_plan_order, a_result
from tests.contract.queueing import another_worker, claim_one, eventually
from tests.integration.worker_loops import (
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
from tests.recorder import Recorder
from tests.rendering import a_frame, some_prompts
from tests.tiny_books import book_for, costs_for, job_for
from tests.tiny_models import load_tiny
from workers.graphs import Graphs
from workers.rendering import render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from app.contract.jobs import Job
    from schedules.book import PlanBook
    from schedules.cost import CostModel
    from tests.integration.worker_loops import Running
    from workers.loop_settings import LoopSettings
    from workers.pipeline import Model

LONG = 150


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_tiny("sd1", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def book(model: Model) -> PlanBook:
    return book_for(model)


@pytest.fixture
async def queue(store_url: str, queue_settings: QueueSettings) -> AsyncIterator[RedisGatewayQueue]:
    """Yield the gateway's side."""
    side = RedisGatewayQueue.connect(store_url, queue_settings)
    yield side
    await side.aclose()


class Start:
    """Starts workers on the test's own queue."""

    def __init__(self, url: str, settings: QueueSettings, model: Model, book: PlanBook) -> None:
        self._where = (url, settings)
        self._what = (model, book)

    def __call__(
        self, patience: LoopSettings = QUICK, costs: CostModel | None = None
    ) -> AbstractContextManager[Running]:
        return running(*self._where, *self._what, patience, costs)


@pytest.fixture
def start(store_url: str, queue_settings: QueueSettings, model: Model, book: PlanBook) -> Start:
    """Return what runs a worker for the length of a context."""
    return Start(store_url, queue_settings, model, book)


def long_job(model: Model) -> Job:
    return job_for(model, book_for(model, steps=LONG).plans[0])


async def test_a_job_becomes_a_picture_with_honest_counts(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    plan = book.plans[1]
    job = await submitted(queue, job_for(model, plan, seeds=(3,)))
    with start():
        made = await result(queue, job)

    assert made.cache == plan.counts
    assert (made.worker, made.plan.rule, made.plan.replanned) == ("worker-1", "uniform-2", False)
    assert (await picture(queue, job)).shape == (16, 16, 3)
    assert await state(queue, job) is JobState.DONE


async def test_steps_are_recorded_between_jobs_and_replayed_in_the_next(
    queue: RedisGatewayQueue,
    model: Model,
    book: PlanBook,
    store_url: str,
    queue_settings: QueueSettings,
) -> None:
    graphs, plan = Graphs(Recorder(model.pipe.unet)), book.plans[1]
    first, second = (job_for(model, plan, seeds=(3,), exact=True) for _ in range(2))
    with running(store_url, queue_settings, model, book, graphs=graphs):
        await result(queue, await submitted(queue, first))
        await eventually(lambda: graphs.count == len(set(plan.schedule.work(book.graph))))
        made = await result(queue, await submitted(queue, second))

    assert (graphs.replays, graphs.wanted) == (plan.steps, 0)
    assert made.cache == plan.counts
    assert np.array_equal(await picture(queue, first), await picture(queue, second))


async def test_a_job_is_shown_on_its_way_when_it_asks_for_that(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    job = await submitted(queue, job_for(model, book.plans[0], previews=2))
    with start():
        await result(queue, job)
    previews = await queue.follow(job.id, 0, 1)

    assert isinstance(previews, list)
    shapes = [pixels(preview).shape for preview in previews]
    assert shapes == [(16, 16, 3)] * 2
    last = await picture(queue, job)
    errors = [abs(pixels(preview) - last).mean() for preview in previews]
    assert errors[0] > errors[1] > 0


async def test_jobs_of_one_class_run_as_one_batch_and_keep_their_own_pictures(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    prompts = some_prompts(1, 2)
    jobs = [
        await submitted(queue, job_for(model, plan, seeds=(p.seed,), prompt=p.text))
        for p, plan in zip(prompts, book.plans[1:], strict=True)
    ]
    with start(costs=costs_for(model, more=0.1)):
        results = [await result(queue, job) for job in jobs]

    assert [made.batch_size for made in results] == [2, 2]
    assert [made.plan.rule for made in results] == ["uniform-2", "uniform-2"]
    assert [made.plan.replanned for made in results] == [False, True]
    frame = a_frame(model, book.plans[1].schedule, guidance=jobs[0].guidance_scale)
    for job, prompt in zip(jobs, prompts, strict=True):
        (alone,) = render(model, [prompt], frame).images
        assert abs(await picture(queue, job) - pixels(alone)).max() <= 1


async def test_a_job_with_nobody_behind_it_gets_the_best_that_its_deadline_allows(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    job = await submitted(queue, job_for(model, book.plans[2]))
    with start(replace(QUICK, upgrade=True)):
        made = await result(queue, job)

    assert (made.plan.rule, made.plan.replanned) == ("uncached", True)


async def test_a_cancelled_job_stops_between_two_steps(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    job = await submitted(queue, long_job(model))
    with start():
        await eventually(lambda: has_begun(queue, job))
        assert await queue.cancel(job.id) is JobState.RUNNING
        ended = await failure(queue, job)
        status = await queue.status(job.id)

    assert ended.reason is Reason.CANCELLED
    assert status is not None
    assert status.step < LONG


async def test_a_worker_told_to_stop_gives_back_what_it_cannot_finish(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    job = await submitted(queue, long_job(model))
    with start(replace(QUICK, drain_s=0)) as worker:
        await eventually(lambda: has_begun(queue, job))
        worker.stop()
        await eventually(worker.is_over)
    status = await queue.status(job.id)

    assert status is not None
    assert (status.state, status.attempt) == (JobState.QUEUED, 0)


async def test_a_worker_told_to_stop_finishes_what_it_can(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    running_job = await submitted(queue, long_job(model))
    with start() as worker:
        await eventually(lambda: has_begun(queue, running_job))
        worker.stop()
        next_job = await submitted(queue, job_for(model, book.plans[0]))
        await eventually(worker.is_over, timeout_s=60)

    assert (await result(queue, running_job)).plan.steps == LONG
    assert await state(queue, next_job) is JobState.QUEUED


async def test_a_plan_for_another_unet_fails_in_one_sentence(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    job = await submitted(queue, job_for(model, book.plans[0], plan=a_plan_order()))
    with start():
        ended = await failure(queue, job)

    assert ended.reason is Reason.ERROR
    assert ended.detail == ("the plan cannot be run: the plan is for 5 units, this model has 21")
    assert await state(queue, job) is JobState.FAILED


def with_encoder(model: Model, encode: Any) -> Model:
    """Return the model with another text encoder in front."""
    return replace(model, family=replace(model.family, encode=encode))


def broken(*_: Any) -> Any:
    raise RuntimeError("the prompt was: a smiling cat")


async def test_a_job_that_breaks_the_model_is_retried_and_then_given_up(
    store_url: str, prefix: str, model: Model, book: PlanBook
) -> None:
    settings = QueueSettings(prefix=prefix, max_attempts=2)
    queue = RedisGatewayQueue.connect(store_url, settings)
    job = await submitted(queue, job_for(model, book.plans[0]))
    with running(store_url, settings, with_encoder(model, broken), book) as worker:
        ended = await failure(queue, job)
        status = await queue.status(job.id)
    dead = await queue.dead_letters()
    await queue.aclose()

    assert status is not None
    assert (status.state, status.attempt, dead) == (JobState.DEAD, 2, 1)
    assert worker.counted("blockcache_retries_total") == 2
    assert "RuntimeError" in ended.detail
    assert "smiling" not in ended.detail


async def test_a_worker_serves_on_after_a_job_that_broke(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    bad = await submitted(queue, job_for(model, book.plans[0], plan=a_plan_order()))
    good = await submitted(queue, job_for(model, book.plans[0]))
    with start():
        await failure(queue, bad)

        assert (await result(queue, good)).plan.rule == "uncached"


async def test_a_worker_that_lost_its_lease_overwrites_nothing(
    store_url: str, prefix: str, model: Model, book: PlanBook
) -> None:
    settings = QueueSettings(prefix=prefix, lease_ms=300)
    gate, original = threading.Event(), model.family.encode

    def waiting(*how: Any) -> Any:
        assert gate.wait(30)
        return original(*how)

    queue = RedisGatewayQueue.connect(store_url, settings)
    job = await submitted(queue, job_for(model, book.plans[0]))
    stalling = replace(QUICK, stall_s=0.1)
    with running(store_url, settings, with_encoder(model, waiting), book, stalling) as worker:
        await eventually(lambda: is_running(queue, job))
        await asyncio.to_thread(_finish_elsewhere, store_url, settings, job)
        gate.set()
        await eventually(lambda: worker.counted("blockcache_leases_lost_total"))
        ended = await result(queue, job)
        image = await queue.image(job.id, 0)
    await queue.aclose()

    assert (ended.worker, image) == ("other", b"theirs")


async def is_running(queue: RedisGatewayQueue, job: Job) -> bool:
    return await state(queue, job) is JobState.RUNNING


def _finish_elsewhere(url: str, settings: QueueSettings, job: Job) -> None:
    """Take the job over once its lease has run out, and finish it."""
    with another_worker(url, settings, lease_ms=60_000) as other:
        claimed = claim_one(other, lane=job.lane, name="other", wait_s=10.0)
        assert other.finish(claimed, a_result(job, "other"), [b"theirs"])


async def test_the_card_is_there_while_the_worker_is(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    with start():
        (card,) = await eventually(queue.cards)
        assert (card.worker, card.ready, card.busy_until_unix_ms) == ("worker-1", True, 0)
        assert await queue.book(card.book) == book

    assert await queue.cards() == []


async def test_the_card_says_until_when_the_worker_is_busy(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    unit_ms = 30_000 / (LONG * len(model.units.graph))
    await submitted(queue, long_job(model))
    with start(replace(QUICK, drain_s=0), costs_for(model, unit_ms)):
        card = await eventually(lambda: busy_card(queue))
        busy_ms = card.busy_until_unix_ms - await queue.now_unix_ms()

    assert 20_000 < busy_ms <= 30_000


async def busy_card(queue: RedisGatewayQueue) -> Any:
    cards = await queue.cards()
    return next((card for card in cards if card.busy_until_unix_ms), None)


async def test_whoever_has_an_answer_finds_the_worker_free_again(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    with start(replace(QUICK, heartbeat_s=60.0)):
        for _ in range(8):
            job = await submitted(queue, job_for(model, book.plans[0]))
            await queue.wait(job.id, 30.0)
            (card,) = await queue.cards()
            assert card.busy_until_unix_ms == 0


async def test_predictions_follow_what_runs_really_took(
    queue: RedisGatewayQueue, model: Model, book: PlanBook, start: Start
) -> None:
    job = await submitted(queue, job_for(model, book.plans[0]))
    with start():
        made = await result(queue, job)
        await eventually(lambda: has_learnt(queue))
        (card,) = await queue.cards()

    took = made.timing.making_ms / made.plan.predicted_ms
    assert card.costs.drift.median == pytest.approx(took, rel=0.05)


async def test_an_idle_worker_finds_out_by_itself_how_fast_it_is(
    queue: RedisGatewayQueue, start: Start
) -> None:
    with start(replace(QUICK, probe_s=0.0)):
        await eventually(lambda: has_learnt(queue))


async def has_learnt(queue: RedisGatewayQueue) -> bool:
    return any(card.costs.drift.median > 2 for card in await queue.cards())
