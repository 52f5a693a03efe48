"""Whatever dies or is cut off, each accepted job gets one answer, and only one.

    CHAOS_JOBS=1000 CHAOS_FAULTS=40 pytest tests/chaos -s

is the long form. CHAOS_SEED repeats the faults of an earlier run in their order.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.connection import connect
from tests.chaos.callers import Callers
from tests.chaos.cluster import Cluster
from tests.chaos.faults import faults
from tests.integration.gateways import wait_until
from tests.integration.webhook_receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

JOBS = int(os.environ.get("CHAOS_JOBS", "40"))
FAULTS = int(os.environ.get("CHAOS_FAULTS", "5"))
SEED = int(os.environ.get("CHAOS_SEED", time.time_ns() % 1_000_000))
HEALED_S = 120.0
TOLD_S = 120.0  # a gateway may die with a delivery, which is due again when its lease is over


@pytest.mark.timeout(900)
def test_every_job_gets_exactly_one_answer(tmp_path: Path) -> None:
    random = Random(SEED)  # noqa: S311 faults need no secrets
    done: Counter[str] = Counter()
    say(f"{JOBS} jobs, {FAULTS} faults, CHAOS_SEED={SEED}")
    with (
        Receiver() as receiver,
        Cluster(tmp_path) as cluster,
        Callers(cluster.urls, JOBS, receiver.url) as callers,
    ):
        started_s = time.monotonic()
        for number, fault in enumerate(faults(FAULTS, random), 1):
            due = min(JOBS * number // (FAULTS + 1), JOBS - 1)
            wait_until(partial(callers.have_finished, due), HEALED_S)
            fault(cluster, random)
            done[fault.__name__] += 1
        callers.join()
        took_s = time.monotonic() - started_s
        wait_until(lambda: told(receiver) >= to_be_told(callers), TOLD_S)
        callers.look_again()
        kept = remains(cluster.store.url)
    say(f"{took_s:.0f} s, faults {dict(done)}, troubles {dict(callers.troubles)}")
    say(f"{len(receiver.received)} webhook calls for {len(to_be_told(callers))} jobs")
    say(f"states {states(callers)}, jobs by attempts {attempts(callers)}")

    assert sum(done.values()) == FAULTS
    several = [c for c in callers.callers if len(c.answers) != 1 or len(c.made) > 1]
    assert not several, "these saw no answer or several"
    assert len({caller.job_id for caller in callers.callers}) == JOBS
    assert kept["jobs"] == JOBS, "requests that were repeated made other jobs"
    assert not kept["forever"], "these keys have no TTL though all jobs are over"


def told(receiver: Receiver) -> set[str]:
    """Return the final bodies that webhooks were sent."""
    return {received.body.decode() for received in receiver.received}


def to_be_told(callers: Callers) -> set[str]:
    """Return the final bodies that webhooks have to be sent, exactly as callers saw them."""
    return {
        answer.partition("\n")[0]
        for caller in callers.callers
        if not caller.is_waiting
        for answer in caller.answers
    }


def say(words: str) -> None:
    """Tell the figures of a run, to see with -s or when it fails."""
    sys.stdout.write(f"chaos: {words}\n")


def states(callers: Callers) -> dict[str, int]:
    """Return how many jobs ended how."""
    return dict(Counter(caller.state for caller in callers.callers))


def attempts(callers: Callers) -> dict[int, int]:
    """Return how many jobs needed how many attempts."""
    return dict(sorted(Counter(caller.attempts for caller in callers.callers).items()))


def remains(store_url: str) -> dict[str, Any]:
    """Count the jobs in the store, and name the keys that would stay for ever."""
    with connect(store_url) as store:
        keys = list(store.scan_iter(count=1000))
        jobs = sum(key.split(b":")[1] == b"job" for key in keys)
        return {"jobs": jobs, "forever": [key for key in keys if store.ttl(key) == -1]}
