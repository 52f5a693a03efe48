"""The use cases: make a picture, follow it, cancel it, ask what would be picked."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app import admission, errors
from app.contract.errors import QueueFull, StoreUnavailable, WaitTimeout
from app.contract.jobs import FINAL_STATES, Job, JobState, PlanOrder, Result
from app.fleet import Fleet, FleetReader, Offer, choose
from app.refusals import failed, refusal
from app.settings import MAX_BUDGET_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from app.contract.jobs import Outcome
    from app.contract.ports import GatewayQueue, JobStatus
    from app.settings import Settings
    from app.telemetry import Telemetry

    Gone = Callable[[], Coroutine[None, None, None]]

RECONNECT_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRequest:
    """What a caller wants. None leaves the choice to the service."""

    budget_ms: float
    prompt: str = ""
    negative_prompt: str = ""
    model: str | None = None
    width: int | None = None
    height: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    num_images: int = 1
    min_quality: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """An admitted request: by which offer, under which promise."""

    offer: Offer
    admit: admission.Admit
    overhead_ms: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job in the queue and the moment (of the gateway's clock) its request came in."""

    job: Job
    budget_ms: float
    created_unix_ms: float
    started_s: float


@dataclass(frozen=True, slots=True)
class Made:
    """A finished job: what happened, its pictures if they were asked for, and by when."""

    accepted: Accepted
    result: Result
    images: tuple[bytes, ...]
    elapsed_ms: float

    @property
    def met(self) -> bool:
        """Whether the budget was kept."""
        return self.elapsed_ms <= self.accepted.budget_ms


@dataclass(slots=True)
class Service:
    """Turns requests into jobs and outcomes into answers. Knows no HTTP and no Redis."""

    queue: GatewayQueue
    settings: Settings
    telemetry: Telemetry
    fleet: FleetReader
    overhead: admission.Overhead = field(default_factory=admission.Overhead)
    clock: Callable[[], float] = time.perf_counter
    random_seed: Callable[[], int] = lambda: random.SystemRandom().getrandbits(32)
    watchers: set[asyncio.Task[None]] = field(default_factory=set)

    async def generate(
        self, request: PictureRequest, gone: Gone, *, with_images: bool = True
    ) -> Made:
        """Make the pictures and wait for them; `gone()` returns when the caller left.

        Raises one of Refused, or a ContractError.
        """
        accepted = await self.submit(request, reserve=True)
        result = self._result(accepted, await self._outcome(accepted, gone))
        images = await self._images(result) if with_images else ()
        elapsed_ms = (self.clock() - accepted.started_s) * 1000
        timing = result.timing
        self.overhead.observe(elapsed_ms - timing.queue_ms - timing.making_ms)
        self.telemetry.finished(accepted.job.model, result, elapsed_ms, accepted.budget_ms)
        return Made(accepted, result, images, elapsed_ms)

    async def submit(self, request: PictureRequest, *, reserve: bool = False) -> Accepted:
        """Put an admitted request into the queue.

        With `reserve` the deadline leaves time for the answer to be sent, else the whole budget is
        the job's. Raises one of Refused, or a ContractError.
        """
        started_s = self.clock()
        self._check(request)
        try:
            decision = await self.decide(request)
            job = self._job(request, decision)
            given_ms = request.budget_ms - (decision.overhead_ms if reserve else 0.0)
            deadline_unix_ms = await self.queue.submit(job, given_ms)
        except (errors.Refused, QueueFull):
            self.telemetry.ended("refused")
            raise
        return Accepted(job, request.budget_ms, deadline_unix_ms - given_ms, started_s)

    def watch(self, accepted: Accepted) -> None:
        """Count how a job that nobody waits for ends."""
        task = asyncio.create_task(self._watch(accepted))
        self.watchers.add(task)
        task.add_done_callback(self.watchers.discard)

    async def close(self) -> None:
        """Stop watching."""
        for task in self.watchers:
            task.cancel()
        await asyncio.gather(*self.watchers, return_exceptions=True)

    async def decide(self, request: PictureRequest) -> Decision:
        """Say how a request would be served now; raises one of Refused."""
        offer = await self._offer(request)
        overhead_ms = self.overhead.p95_ms
        verdict = await self._admit(request, offer, overhead_ms, request.budget_ms)
        if isinstance(verdict, admission.Queued):
            # A longer budget lets more of the queue go first: all of it is the safe answer.
            whole = await self._admit(request, offer, overhead_ms, MAX_BUDGET_MS)
            verdict = whole if isinstance(whole, admission.Queued) else verdict
        if not isinstance(verdict, admission.Admit):
            self.overhead.relax()
            raise refusal(verdict)
        return Decision(offer, verdict, overhead_ms)

    async def status(self, job_id: str) -> JobStatus:
        """Return what is known of a job; raises UnknownJob."""
        status = await self.queue.status(job_id)
        if status is None:
            raise errors.UnknownJob(f"No job {job_id}; results are kept for a limited time.")
        return status

    async def image(self, job_id: str, index: int) -> bytes:
        """Return one finished picture; raises UnknownJob or UnknownImage."""
        picture = await self.queue.image(job_id, index)
        if picture is None:
            status = await self.status(job_id)
            raise errors.UnknownImage(f"The job is {status.state} and has no picture {index}.")
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

    def _check(self, request: PictureRequest) -> None:
        chars = self.settings.max_prompt_chars
        limits = (
            ("prompt", len(request.prompt), chars, "characters"),
            ("negative_prompt", len(request.negative_prompt), chars, "characters"),
            ("num_images", request.num_images, self.settings.max_images, "images"),
        )
        wrong = [
            errors.FieldError(name, f"must be at most {limit} {unit} here")
            for name, value, limit, unit in limits
            if value > limit
        ]
        if wrong:
            raise errors.InvalidRequest(wrong)

    async def _offer(self, request: PictureRequest) -> Offer:
        fleet = await self.fleet.read()
        ours = self.settings.models
        wanted = request.model or ("" if fleet.offers else next(iter(ours), ""))
        if wanted in ours and not fleet.of_model(wanted):
            self.telemetry.unserved(wanted)
            raise errors.NoWorkers(f"No worker has {wanted} ready; try again in a moment.")
        return choose(fleet, request.model, request.width, request.height)

    async def _admit(
        self, request: PictureRequest, offer: Offer, overhead_ms: float, horizon_ms: float
    ) -> admission.Verdict:
        backlog = await self.queue.backlog(offer.model, horizon_ms)
        now_unix_ms = (await self.fleet.read()).now_unix_ms
        load = admission.Load(offer.cards, backlog, now_unix_ms, overhead_ms)
        ask = admission.Ask(request.budget_ms, request.num_images, request.min_quality)
        return admission.admit(ask, offer.book, load)

    def _job(self, request: PictureRequest, decision: Decision) -> Job:
        seed = self.random_seed() if request.seed is None else request.seed
        book = decision.offer.book
        usual = book.made.get("guidance_scale", self.settings.guidance_scale)
        guidance = request.guidance_scale
        return Job(
            id=uuid.uuid4().hex,
            model=book.model,
            revision=book.revision,
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            seeds=tuple(range(seed, seed + request.num_images)),
            width=book.width,
            height=book.height,
            guidance_scale=float(usual if guidance is None else guidance),
            plan=PlanOrder.of(decision.admit.choice.picked),
            min_quality=request.min_quality,
        )

    async def _outcome(self, accepted: Accepted, gone: Gone) -> Outcome:
        waiting = asyncio.create_task(self._wait(accepted))
        leaving = asyncio.create_task(gone())
        try:
            await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            await self._abandon(accepted, "cancelled")
            raise errors.CallerGone("The caller disconnected.")
        finally:
            waiting.cancel()
            leaving.cancel()
            await asyncio.gather(waiting, leaving, return_exceptions=True)

    async def _wait(self, accepted: Accepted) -> Outcome:
        patience_ms = accepted.budget_ms + self.settings.grace_for(accepted.budget_ms)
        until_s = accepted.started_s + patience_ms / 1000
        while True:
            try:
                return await self.queue.wait(accepted.job.id, max(0.0, until_s - self.clock()))
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

    async def _abandon(self, accepted: Accepted, outcome: str) -> None:
        self.telemetry.ended(outcome, accepted.job.model if outcome == "missed" else None)
        await self.queue.cancel(accepted.job.id)

    def _result(self, accepted: Accepted, outcome: Outcome) -> Result:
        if isinstance(outcome, Result):
            return outcome
        name, error = failed(outcome)
        self.telemetry.ended(name, None if name == "cancelled" else accepted.job.model)
        raise error

    async def _images(self, result: Result) -> tuple[bytes, ...]:
        numbers = range(len(result.seeds))
        found = await asyncio.gather(*(self.queue.image(result.job_id, n) for n in numbers))
        images = tuple(image for image in found if image is not None)
        if len(images) < len(found):
            raise errors.JobFailed("The pictures are no longer in the store.")
        return images

    async def _watch(self, accepted: Accepted) -> None:
        try:
            result = self._result(accepted, await self._wait(accepted))
        except (errors.Refused, StoreUnavailable):
            return
        total_ms = result.timing.total_ms
        self.telemetry.finished(accepted.job.model, result, total_ms, accepted.budget_ms)
