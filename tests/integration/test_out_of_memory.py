"""A worker whose device runs out of memory answers all the same, and claims less from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.contract.jobs import JobState
from tests.contract.queueing import eventually
from tests.integration.worker_loops import LONG, result, running, state, submitted
from tests.tiny_books import book_for, costs_for, job_for
from tests.tiny_models import load_tiny
from tests.unit.workers.test_halving import memory_for

if TYPE_CHECKING:
    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.settings import QueueSettings
    from workers.pipeline import Model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_tiny("sd1", tmp_path_factory.mktemp("models"))


async def test_every_job_of_a_batch_too_large_is_answered_on_its_first_attempt(
    store_url: str, queue: RedisGatewayQueue, queue_settings: QueueSettings, model: Model
) -> None:
    book = book_for(model)
    jobs = [
        await submitted(queue, job_for(model, book.plans[1], seeds=(seed,))) for seed in range(4)
    ]
    costs = costs_for(model, more=0.1)
    with memory_for(model, 1) as seen, running(store_url, queue_settings, model, book, costs=costs):
        made = [await result(queue, job) for job in jobs]
        states = [await queue.status(job.id) for job in jobs]
        (card,) = await eventually(queue.cards)

    assert 4 in seen
    assert [ran.batch_size for ran in made] == [1, 1, 1, 1]
    assert [status.attempt for status in states if status] == [1, 1, 1, 1]
    assert card.max_batch == 1


async def test_a_batch_in_halves_does_not_say_that_others_may_come_first(
    store_url: str, queue: RedisGatewayQueue, queue_settings: QueueSettings, model: Model
) -> None:
    plan = book_for(model, steps=LONG).plans[0]
    job = await submitted(queue, job_for(model, plan, exact=True, seeds=(1, 2, 3)))
    costs, running_at = costs_for(model, 10.0), (store_url, queue_settings, model, book_for(model))

    async def busy_to_the_end() -> bool:
        return any(c.busy_until_unix_ms and not c.due_unix_ms for c in await queue.cards())

    with memory_for(model, 1), running(*running_at, costs=costs):
        await eventually(busy_to_the_end)
        assert await state(queue, job) is JobState.RUNNING
        await result(queue, job)
