"""The use cases: make a picture, follow it, cancel it, ask what would be picked."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from app import admission, errors
from app.checking import check
from app.contract.ended import Ended
from app.contract.errors import (
    AlreadyAccepted,
    QueueFull,
    StoreUnavailable,
    TooManyJobs,
    WaitTimeout,
)
from app.contract.jobs import FINAL_STATES, JobState, Result
from app.contract.settings import RECONNECT_S
from app.contract.tracing import OFF, Kind, Tracing
from app.deciding import Decider
from app.fleet import Fleet, FleetReader
from app.presence import Presence
from app.refusals import failed
from app.stages import Accepted, Decision, Made, PictureRequest, order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from app.contract.jobs import Job, Outcome
    from app.contract.ports import GatewayQueue, JobStatus
    from app.settings import Settings
    from app.telemetry import Telemetry

    Gone = Callable[[], Coroutine[None, None, None]]

T = TypeVar("T")


@dataclass(slots=True)
class Service:
    """Turns requests into jobs and outcomes into answers. Knows no HTTP and no Redis."""

    queue: GatewayQueue
    settings: Settings
    telemetry: Telemetry
    fleet: FleetReader
    overhead: admission.Overhead = field(default_factory=admission.Overhead)
    clock: Callable[[], float] = time.perf_counter
    random_seed: Callable[[], int] = lambda: secrets.randbits(32)
    watchers: set[asyncio.Task[None]] = field(default_factory=set)
    tracing: Tracing = OFF

    async def generate(
        self, request: PictureRequest, gone: Gone, *, with_images: bool = True
    ) -> Made:
        """Make the pictures and wait for them; `gone()` returns when the caller left.

        Raises one of Refused, or a ContractError.
        """
        accepted = await self.submit(request, reserve=True)
        return await self.complete(accepted, gone, with_images=with_images)

    async def complete(self, accepted: Accepted, gone: Gone, *, with_images: bool = True) -> Made:
        """Wait for an accepted job as `generate` does."""
        ended = await self._ended(accepted, gone, with_images=with_images)
        return self.told(accepted, ended, with_images=with_images)

    async def conclude(self, accepted: Accepted, outcome: Outcome) -> Made:
        """Count an outcome somebody waited for and fetch its pictures; raises one of Refused."""
        images = tuple(await self.queue.images(outcome.job_id))
        return self.told(accepted, Ended(outcome, images))

    def told(self, accepted: Accepted, ended: Ended, *, with_images: bool = True) -> Made:
        """Count what somebody waited for; raises one of Refused."""
        result, images = self._result(accepted, ended.outcome), ended.images
        if with_images and len(images) < len(result.seeds):
            raise errors.JobFailed("The pictures are no longer in the store.")
        timing = result.timing
        if not accepted.first:
            return Made(accepted, result, images, timing.total_ms)
        elapsed_ms = (self.clock() - accepted.started_s) * 1000
        self.overhead.observe(elapsed_ms - timing.queue_ms - timing.making_ms)
        self.telemetry.finished(accepted.job.model, result, elapsed_ms, accepted.budget_ms)
        return Made(accepted, result, images, elapsed_ms)

    async def soon(self, accepted: Accepted, wait_s: float, *, with_images: bool) -> Made | None:
        """Return what was made if it is there within `wait_s`; the job goes on otherwise.

        How it ends is counted by who watches it. Raises like `generate`.
        """
        if not wait_s:
            return None
        try:
            ended = await self.queue.ended(accepted.job.id, wait_s, pictures=with_images)
        except WaitTimeout:
            return None
        made = self.told(accepted.copy(first=False), ended, with_images=with_images)
        return made.copy(accepted=accepted)

    async def submit(self, request: PictureRequest, *, reserve: bool = False) -> Accepted:
        """Put an admitted request into the queue.

        With `reserve` the deadline leaves time for the answer to be sent, else the whole budget is
        the job's. A request made before with the same idempotency key is its job again. Raises one
        of Refused, or a ContractError.
        """
        started_s = self.clock()
        check(request, self.settings)
        if request.once and (known := await self.queue.accepted_before(request.once)):
            return await self._again(known, request, started_s)
        try:
            decision = await self.decide(request, remember=True)
            job = order(request, decision, self.settings.guidance_scale, self.random_seed)
            given_ms = request.budget_ms - (decision.overhead_ms if reserve else 0.0)
            met_others = decision.admit.wait_ms > 0
            deadline_unix_ms = await self._send(job, given_ms, request, met_others=met_others)
        except AlreadyAccepted as error:
            return await self._again(error.job_id, request, started_s)
        except (errors.Refused, QueueFull, TooManyJobs):
            self.telemetry.ended("refused")
            raise
        created_unix_ms, kept = deadline_unix_ms - given_ms, request.once is not None
        return Accepted(job, request.budget_ms, created_unix_ms, started_s, kept=kept)

    async def _send(
        self, job: Job, given_ms: float, request: PictureRequest, *, met_others: bool
    ) -> float:
        with self.tracing.span("submit", Kind.PRODUCER):
            parent = self.tracing.traceparent()
            return await self.queue.submit(
                job.copy(trace=parent) if parent else job,
                given_ms,
                most_live=request.concurrent_jobs,
                once=request.once,
                met_others=met_others,
                webhook=request.webhook_url or "",
            )

    async def accept(self, request: PictureRequest) -> Accepted:
        """Put a request into the queue that nobody waits for; raises like `submit`."""
        accepted = await self.submit(request)
        self.watch(accepted)
        return accepted

    def watch(self, accepted: Accepted) -> None:
        """Count how a job that nobody waits for ends."""
        if accepted.first:
            self._aside(self._watch(accepted))

    def leave(self, accepted: Accepted) -> None:
        """Cancel a job whose only waiter left; returns at once."""
        self._aside(self._let_go(accepted))

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self.watchers.add(task)
        task.add_done_callback(self.watchers.discard)

    async def close(self) -> None:
        """Stop watching."""
        for task in self.watchers:
            task.cancel()
        await asyncio.gather(*self.watchers, return_exceptions=True)

    async def decide(self, request: PictureRequest, *, remember: bool = False) -> Decision:
        """Say how a request would be served now; raises one of Refused."""
        parts = self.queue, self.settings, self.telemetry, self.fleet, self.overhead
        with self.tracing.span("plan"):
            return await Decider(*parts).decide(request, remember=remember)

    async def status(self, job_id: str) -> JobStatus:
        """Return what is known of a job; raises UnknownJob."""
        status = await self.queue.status(job_id)
        if status is None:
            raise errors.UnknownJob(f"No job {job_id}; results are kept for a limited time.")
        return status

    async def check_owner(self, job_id: str, owner: str) -> None:
        """Raise UnknownJob for somebody else's job; nobody's is everybody's."""
        if owner and await self.queue.owner(job_id) not in {None, "", owner}:
            raise errors.UnknownJob(f"No job {job_id}; results are kept for a limited time.")

    async def image(self, job_id: str, index: int) -> bytes:
        """Return one finished picture; raises UnknownJob or UnknownImage."""
        picture = await self.queue.image(job_id, index)
        if picture is None:
            status = await self.status(job_id)
            raise errors.UnknownImage(f"The job is {status.state} and has no picture {index}.")
        return picture

    async def preview(self, job_id: str, index: int) -> bytes:
        """Return a picture as it was on its way; raises UnknownJob or UnknownImage."""
        picture = await self.queue.preview(job_id, index)
        if picture is None:
            status = await self.status(job_id)
            raise errors.UnknownImage(f"The job is {status.state} and has no preview {index}.")
        return picture

    async def cancel(self, job_id: str) -> JobStatus:
        """Cancel a job, again if need be; raises UnknownJob, or JobOver when it ended before."""
        state = await self.queue.cancel(job_id)
        if state in FINAL_STATES - {JobState.CANCELLED}:
            raise errors.JobOver(f"The job is {state} and can no longer be cancelled.")
        return await self.status(job_id)

    async def live(self) -> Fleet:
        """Return what live workers offer."""
        return await self.fleet.read()

    async def _ended(self, accepted: Accepted, gone: Gone, *, with_images: bool) -> Ended:
        try:
            async with asyncio.timeout(None) as block:
                presence = Presence(gone, block)
                try:
                    return await self._wait(accepted, with_images=with_images)
                finally:
                    presence.close()
        except TimeoutError:
            await self._let_go(accepted)
            raise errors.CallerGone("The caller disconnected.") from None

    async def _wait(self, accepted: Accepted, *, with_images: bool) -> Ended:
        with self.tracing.span("wait"):
            look = partial(self.queue.ended, accepted.job.id, pictures=with_images)
            return await self.patiently(accepted, look)

    async def patiently(self, accepted: Accepted, look: Callable[[float], Awaitable[T]]) -> T:
        """Return what `look(timeout_s)` finds before budget and grace are over.

        Raises DeadlineMissed when it finds nothing, after the job was cancelled.
        """
        patience_ms = accepted.budget_ms + self.settings.grace_for(accepted.budget_ms)
        until_s = accepted.started_s + patience_ms / 1000
        while True:
            try:
                return await look(max(0.0, until_s - self.clock()))
            except WaitTimeout:
                await self._abandon(accepted, "missed")
                raise errors.DeadlineMissed(
                    f"No picture arrived within {patience_ms:.0f} ms; the job was cancelled."
                ) from None
            except StoreUnavailable:
                # The store may be restarting; the job is safe in it.
                if self.clock() + RECONNECT_S > until_s:
                    raise
                await asyncio.sleep(RECONNECT_S)

    async def _let_go(self, accepted: Accepted) -> None:
        if accepted.kept:
            self.watch(accepted)
            return
        with suppress(StoreUnavailable):
            await self._abandon(accepted, "cancelled")

    async def _abandon(self, accepted: Accepted, outcome: str) -> None:
        if not accepted.first:
            return
        self.telemetry.ended(outcome, accepted.job.model if outcome == "missed" else None)
        await self.queue.cancel(accepted.job.id)

    def _result(self, accepted: Accepted, outcome: Outcome) -> Result:
        if isinstance(outcome, Result):
            return outcome
        name, error = failed(outcome)
        if accepted.first:
            self.telemetry.ended(name, None if name == "cancelled" else accepted.job.model)
        raise error

    async def _again(self, job_id: str, request: PictureRequest, started_s: float) -> Accepted:
        status = await self.status(job_id)
        created = float(status.created_unix_ms)
        return Accepted(status, request.budget_ms, created, started_s, first=False, kept=True)

    async def _watch(self, accepted: Accepted) -> None:
        try:
            ended = await self._wait(accepted, with_images=False)
            result = self._result(accepted, ended.outcome)
        except (errors.Refused, StoreUnavailable):
            return
        total_ms = result.timing.total_ms
        self.telemetry.finished(accepted.job.model, result, total_ms, accepted.budget_ms)
