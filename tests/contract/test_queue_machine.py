"""Any order of calls by gateways, workers and accidents, checked against a small model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from app.contract.connection import connect
from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import FINAL_STATES, TRANSITIONS, Failure, JobState, Reason
from app.contract.keys import Keys
from app.contract.settings import QueueSettings
from app.contract.worker_queue import RedisWorkerQueue
from tests.builders import a_job, a_lane, a_result, some_images
from tests.contract.queueing import expire_leases, together

if TYPE_CHECKING:
    from app.contract.jobs import Job
    from app.contract.ports import Claimed

QUEUED, RUNNING = JobState.QUEUED, JobState.RUNNING
MAX_ATTEMPTS = 2


@dataclass
class Known:
    """What the model knows of one job."""

    job: Job
    deadline: int
    state: JobState = QUEUED
    attempt: int = 0
    token: int = 0
    cancelled: bool = False
    expired: bool = False
    answers: set[Any] = field(default_factory=set)

    @property
    def group(self) -> str:
        """Who may share a batch: what was tried before runs alone."""
        return self.job.id if self.attempt else self.job.batch_class

    @property
    def urgency(self) -> tuple[int, str]:
        """The order of the queue."""
        return self.deadline, self.job.id

    def to(self, state: JobState) -> None:
        """Move as the table of transitions allows."""
        assert state in TRANSITIONS[self.state], f"{self.state} -> {state}"
        self.state = state

    def holds(self, claimed: Claimed) -> bool:
        """Whether a claim is the current one."""
        return self.state is RUNNING and self.token == claimed.token

    def release(self) -> None:
        """End an attempt that brought no outcome."""
        if self.cancelled:
            self.to(JobState.CANCELLED)
        else:
            self.to(JobState.DEAD if self.attempt >= MAX_ATTEMPTS else QUEUED)
        self.expired = False


class QueueMachine(RuleBasedStateMachine):
    """Two models, two batch classes, any number of workers that come, die and come back."""

    url: str
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        own = QueueSettings(prefix=f"test-{uuid4().hex[:12]}", max_attempts=MAX_ATTEMPTS)
        self.keys = Keys(own.prefix)
        self.loop = asyncio.Runner()
        self.gateway = RedisGatewayQueue.connect(self.url, own)
        self.worker = RedisWorkerQueue.connect(self.url, own)
        self.store = connect(self.url)
        self.jobs: dict[str, Known] = {}

    def teardown(self) -> None:
        self.loop.run(self.gateway.aclose())
        self.loop.close()
        self.worker.close()
        self.store.close()

    def of_state(self, state: JobState, model: str | None = None) -> list[Known]:
        known = (k for k in self.jobs.values() if k.state is state)
        return sorted((k for k in known if model in {None, k.job.model}), key=lambda k: k.urgency)

    @initialize(count=st.integers(1, 4))
    def open_with_some_jobs(self, count: int) -> None:
        for _ in range(count):
            self.submit("a", 4, 1, 1)

    @rule(
        model=st.sampled_from(["a", "b"]),
        steps=st.sampled_from([4, 8]),
        images=st.integers(1, 3),
        minutes=st.integers(1, 5),
    )
    def submit(self, model: str, steps: int, images: int, minutes: int) -> None:
        job = a_job(model=model, steps=steps, images=images)
        deadline = self.loop.run(self.gateway.submit(job, minutes * 60_000))
        assert self.loop.run(self.gateway.submit(job, 1)) == deadline
        self.jobs[job.id] = Known(job, deadline)

    @rule(target=claims, model=st.sampled_from(["a", "b"]), most=st.integers(1, 4))
    def claim(self, model: str, most: int) -> Any:
        self.sweep()
        claims = self.worker.claim(a_lane(model), "worker", together(most), 0)
        expected = self.expected_batch(model, most)
        assert [c.job.id for c in claims] == [k.job.id for k in expected]
        for known, claimed in zip(expected, claims, strict=True):
            known.to(RUNNING)
            known.attempt += 1
            assert claimed.attempt == known.attempt
            assert claimed.token > known.token
            known.token = claimed.token
        return multiple(*claims)

    def expected_batch(self, model: str, most: int) -> list[Known]:
        batch: list[Known] = []
        for known in self.of_state(QUEUED, model):
            if batch and (known.group != batch[0].group):
                continue
            if batch and sum(k.job.images for k in [*batch, known]) > most:
                break
            batch.append(known)
        return batch

    def sweep(self) -> None:
        for known in self.of_state(RUNNING):
            if known.expired:
                known.release()

    @rule(claimed=claims)
    def renew(self, claimed: Claimed) -> None:
        known = self.jobs[claimed.job.id]
        held = known.holds(claimed)
        wanted = held and not known.cancelled
        assert bool(self.worker.renew([claimed])) == wanted
        known.expired = known.expired and not held

    @rule(claimed=consumes(claims))
    def finish(self, claimed: Claimed) -> None:
        known = self.jobs[claimed.job.id]
        held = known.holds(claimed)
        result = a_result(claimed, worker=f"token {claimed.token}")
        assert self.worker.finish(claimed, result, some_images(claimed)) == held
        if held:
            known.to(JobState.CANCELLED if known.cancelled else JobState.DONE)

    @rule(claimed=consumes(claims), retry=st.booleans())
    def fail(self, claimed: Claimed, retry: bool) -> None:
        known = self.jobs[claimed.job.id]
        held = known.holds(claimed)
        failure = Failure(claimed.job.id, Reason.ERROR, "boom")
        assert self.worker.fail(claimed, failure, retry=retry) == held
        if held and retry:
            known.release()
        elif held:
            known.to(JobState.FAILED)

    @rule(claimed=consumes(claims))
    def give_back(self, claimed: Claimed) -> None:
        known = self.jobs[claimed.job.id]
        held = known.holds(claimed)
        assert self.worker.give_back(claimed) == held
        if held:
            known.attempt -= 1
            known.to(JobState.CANCELLED if known.cancelled else QUEUED)
            known.expired = False

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        known = self.jobs.get(data.draw(st.sampled_from(sorted(self.jobs) or ["none"])))
        if known is None:
            return
        if known.state is QUEUED or (known.state is RUNNING and known.expired):
            known.to(JobState.CANCELLED)
        elif known.state is RUNNING:
            known.cancelled = True
        assert self.loop.run(self.gateway.cancel(known.job.id)) is known.state

    @rule()
    def workers_die(self) -> None:
        expire_leases(self.store, self.keys)
        for known in self.of_state(RUNNING):
            known.expired = True

    @rule(target=claims, model=st.sampled_from(["a", "b"]))
    def a_fresh_worker_takes_over(self, model: str) -> Any:
        self.workers_die()
        return self.claim(model, 4)

    @invariant()
    def every_job_is_where_the_model_says(self) -> None:
        for known in self.jobs.values():
            status = self.loop.run(self.gateway.status(known.job.id))
            assert status is not None
            assert (status.state, status.attempt) == (known.state, known.attempt)
            assert (status.outcome is not None) == (known.state in FINAL_STATES)
            if status.outcome is not None:
                known.answers.add(status.outcome)
            assert len(known.answers) <= 1

    @invariant()
    def the_depths_count_every_queued_job(self) -> None:
        depths = self.loop.run(self.gateway.depths())
        queued = {m: len(self.of_state(QUEUED, m)) for m in ("a", "b")}
        assert {lane.model: depth.jobs for lane, depth in depths.items()} == {
            m: count for m, count in queued.items() if count
        }
        assert self.loop.run(self.gateway.dead_letters()) == len(self.of_state(JobState.DEAD))


@pytest.mark.timeout(60)
def test_no_order_of_calls_loses_a_job_or_answers_twice(store_url: str) -> None:
    class OnThisServer(QueueMachine):
        url = store_url

    rules = settings(
        max_examples=30,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(OnThisServer, settings=rules)
