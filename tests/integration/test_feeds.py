"""Followers of one job share what was read, each at its own pace."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from app.contract.worker_queue import RedisWorkerQueue
from app.feeds import Feeds
from tests.builders import a_result, some_images
from tests.contract.queueing import claim_one, submitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.settings import QueueSettings


@pytest.fixture
def making(store_url: str, queue_settings: QueueSettings) -> Iterator[RedisWorkerQueue]:
    worker = RedisWorkerQueue.connect(store_url, queue_settings)
    yield worker
    worker.close()


async def test_a_follower_that_stands_still_holds_up_nobody_and_misses_nothing(
    queue: RedisGatewayQueue, making: RedisWorkerQueue
) -> None:
    feeds = Feeds(queue, most=2, heartbeat_s=5)
    job = await submitted(queue)
    async with aclosing(feeds.lines(job.id, "")) as slow, asyncio.timeout(10):
        seen = [await anext(slow), await anext(slow)]
        claimed = claim_one(making)
        for step in range(1, 51):
            making.report([claimed], step)
        making.finish(claimed, a_result(claimed), some_images(job))

        quick = [line async for line in feeds.lines(job.id, "")]
        seen += [line async for line in slow]

    assert seen == quick
    assert len(quick) == 1 + 2 + 50 + 1


async def test_when_the_last_follower_has_left_nothing_is_read_any_more(
    queue: RedisGatewayQueue,
) -> None:
    feeds = Feeds(queue, most=1, heartbeat_s=5)
    job = await submitted(queue)
    async with aclosing(feeds.lines(job.id, "")) as lines, asyncio.timeout(10):
        assert [await anext(lines), await anext(lines)]
        (reader,) = [task for task in asyncio.all_tasks() if "_read_all" in repr(task.get_coro())]
    await asyncio.wait([reader], timeout=30)

    assert reader.done()
    feeds.check_room()
