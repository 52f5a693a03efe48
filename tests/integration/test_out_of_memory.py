"""A worker whose device runs out of memory answers all the same, and claims less from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.contract.gateway_queue import RedisGatewayQueue
from tests.contract.queueing import eventually
from tests.integration.worker_loops import result, running, submitted
from tests.tiny_books import book_for, costs_for, job_for
from tests.tiny_models import load_tiny
from tests.unit.workers.test_halving import memory_for

if TYPE_CHECKING:
    from app.contract.settings import QueueSettings
    from workers.pipeline import Model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_tiny("sd1", tmp_path_factory.mktemp("models"))


async def test_every_job_of_a_batch_too_large_is_answered_on_its_first_attempt(
    store_url: str, queue_settings: QueueSettings, model: Model
) -> None:
    book = book_for(model)
    queue = RedisGatewayQueue.connect(store_url, queue_settings)
    jobs = [
        await submitted(queue, job_for(model, book.plans[1], seeds=(seed,))) for seed in range(4)
    ]
    costs = costs_for(model, more=0.1)
    with memory_for(model, 1) as seen, running(store_url, queue_settings, model, book, costs=costs):
        made = [await result(queue, job) for job in jobs]
        states = [await queue.status(job.id) for job in jobs]
        (card,) = await eventually(queue.cards)
    await queue.aclose()

    assert 4 in seen
    assert [ran.batch_size for ran in made] == [1, 1, 1, 1]
    assert [status.attempt for status in states if status] == [1, 1, 1, 1]
    assert card.max_batch == 1
