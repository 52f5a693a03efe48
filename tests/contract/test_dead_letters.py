"""Dead letters are listed with their reasons, shown, and queued again."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import Failure, JobState, Reason
from app.contract.settings import QueueSettings
from app.contract.worker_queue import RedisWorkerQueue
from app.dead_letters import dead_letters, reason
from app.errors import NoDeadLetter
from app.job_commands import jobs as command
from app.job_commands import show_dead
from tests.contract.queueing import FREE_BATCHES, claim, claim_one, expire_leases, ids, submitted

if TYPE_CHECKING:
    import redis

    from app.contract.jobs import Job
    from app.contract.keys import Keys


async def buried(gateway: RedisGatewayQueue, worker: RedisWorkerQueue, why: str) -> Job:
    job = await submitted(gateway, owner="alice")
    worker.fail(claim_one(worker), Failure(job.id, Reason.DEAD, why), retry=False)
    return job


async def test_the_latest_dead_letters_come_first_with_their_reasons(
    gateway: RedisGatewayQueue,
    worker: RedisWorkerQueue,
    store_url: str,
    settings: QueueSettings,
    store: redis.Redis,
    keys: Keys,
) -> None:
    dead = [await buried(gateway, worker, f"reason {n}") for n in range(3)]
    store.zadd(keys.dead, {job.id: n + 1e13 for n, job in enumerate(dead)})  # not all at once

    async with dead_letters(store_url, settings) as letters:
        found = await letters.latest(2)

    assert [(status.id, reason(status)) for status in found] == [
        (dead[2].id, "reason 2"),
        (dead[1].id, "reason 1"),
    ]


async def test_one_is_shown_with_its_order_and_its_history(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store_url: str, settings: QueueSettings
) -> None:
    job = await buried(gateway, worker, "it went wrong")

    async with dead_letters(store_url, settings) as letters:
        shown = await letters.describe(job.id)

    assert (shown["reason"], shown["owner"], shown["attempts"]) == ("it went wrong", "alice", 1)
    assert shown["order"]["prompt"] == job.prompt
    assert [line.split()[1] for line in shown["history"]] == ["queued,", "running,", "dead,"]
    assert json.dumps(shown)


async def test_one_whose_order_cannot_be_read_is_shown_with_that_reason(
    gateway: RedisGatewayQueue,
    worker: RedisWorkerQueue,
    store_url: str,
    settings: QueueSettings,
    store: redis.Redis,
    keys: Keys,
) -> None:
    job = await submitted(gateway)
    store.hset(keys.job(job.id), "payload", '{"version": 99}')
    assert claim(worker) == []

    async with dead_letters(store_url, settings) as letters:
        shown = await letters.describe(job.id)

    assert "cannot read the job" in shown["reason"]
    assert "cannot be read" in shown["order"]


async def test_all_are_queued_again_and_nothing_else(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store_url: str, settings: QueueSettings
) -> None:
    dead = [await buried(gateway, worker, "why") for _ in range(3)]
    waiting = await submitted(gateway)

    async with dead_letters(store_url, settings) as letters:
        requeued = await letters.requeue_all()

    assert sorted(requeued) == sorted(job.id for job in dead)
    assert await gateway.dead_letters() == 0
    expected = {*requeued, waiting.id}
    assert set(ids([claim_one(worker) for _ in expected])) == expected


async def test_what_is_no_dead_letter_can_be_neither_shown_nor_requeued(
    gateway: RedisGatewayQueue, store_url: str, settings: QueueSettings
) -> None:
    waiting = await submitted(gateway)

    async with dead_letters(store_url, settings) as letters:
        with pytest.raises(NoDeadLetter, match="it is queued"):
            await letters.requeue(waiting.id)
        with pytest.raises(NoDeadLetter, match="no such job"):
            await letters.describe("unknown")
    status = await gateway.status(waiting.id)
    assert status is not None
    assert status.state is JobState.QUEUED


async def test_the_table_holds_whole_ids_and_reasons(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    job = await submitted(gateway, job_id="0123456789abcdef0123456789abcdef")
    worker.fail(claim_one(worker), Failure(job.id, Reason.DEAD, "no memory"), retry=False)

    show_dead(await gateway.list_dead())

    printed = capsys.readouterr().out
    assert job.id in printed
    assert "no memory" in printed


def test_the_command_lists_shows_and_requeues(store_url: str) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(command, [*arguments, "--store-url", store_url])
        assert done.exit_code == 0, done.output
        return done.stdout

    job = asyncio.run(_buried_in_the_usual_service(store_url))

    assert job.id in run("list")
    assert json.loads(run("show", job.id))["reason"] == "why"
    assert run("requeue", job.id) == f"{job.id}\n"
    assert run("list") == "There are no dead letters.\n"
    assert run("requeue", "--all") == ""


async def _buried_in_the_usual_service(store_url: str) -> Job:
    gateway = RedisGatewayQueue.connect(store_url, QueueSettings())
    worker = RedisWorkerQueue.connect(store_url, QueueSettings())
    try:
        return await buried(gateway, worker, "why")
    finally:
        worker.close()
        await gateway.aclose()


@pytest.mark.parametrize("arguments", [["requeue"], ["requeue", "--all", "job-1"], ["list"]])
def test_the_command_says_what_is_missing(arguments: list[str]) -> None:
    done = CliRunner(env={"BLOCKCACHE_STORE_URL": ""}).invoke(command, arguments)

    assert done.exit_code == 2
    assert "Error:" in done.stderr


async def test_a_job_that_kills_its_workers_takes_no_other_with_it(
    gateway: RedisGatewayQueue,
    worker: RedisWorkerQueue,
    store: redis.Redis,
    keys: Keys,
    settings: QueueSettings,
) -> None:
    poison, *others = [await submitted(gateway, 60_000 + n) for n in range(3)]
    assert ids(claim(worker, FREE_BATCHES)) == [poison.id, *[job.id for job in others]]
    expire_leases(store, keys)

    for _ in range(settings.max_attempts - 1):
        assert ids(claim(worker, FREE_BATCHES)) == [poison.id]
        expire_leases(store, keys)
    later = [ids(claim(worker, FREE_BATCHES)) for _ in others]

    assert later == [[job.id] for job in others]
    (dead,) = await gateway.list_dead()
    assert (dead.id, reason(dead)) == (
        poison.id,
        "given up after 3 attempts: its worker went silent",
    )
