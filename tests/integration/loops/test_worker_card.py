"""What a worker's card says of it while a real loop makes pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.queueing import eventually
from tests.integration.worker_loops import LONG, QUICK, long_job, result, submitted
from tests.tiny_books import costs_for, job_for

if TYPE_CHECKING:
    from app.contract.gateway_queue import RedisGatewayQueue
    from schedules.book import PlanBook
    from tests.integration.worker_loops import Start
    from workers.pipeline import Model


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
