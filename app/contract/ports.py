"""The queue as each side sees it; `gateway_queue` and `worker_queue` keep these promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.contract.line import Line
from app.contract.values import Value

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from app.contract.cards import WorkerCard
    from app.contract.ended import Ended
    from app.contract.jobs import Failure, Job, JobState, Outcome, Result
    from app.contract.lanes import Lane
    from app.contract.once import Once
    from app.contract.webhook_queue import WebhookQueue
    from schedules.book import PlanBook

    Choose = Callable[[Line], Sequence[str]]
    Made = tuple["Claimed", Result, Sequence[bytes]]


NOBODY = Line(())


class Backlog(Value, frozen=True):
    """Predicted work that stands before a deadline: jobs and the milliseconds they will take.

    `line` holds the most urgent jobs whether they stand before it or not.
    """

    jobs: int
    work_ms: float
    line: Line = NOBODY


@dataclass(frozen=True, slots=True)
class StoreMemory:
    """How full the store is; `limit_bytes` is 0 when it has no limit of its own."""

    used_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What is known of a job now.

    `step` counts finished steps of `steps`; `position` is the number of queued jobs of its lane
    with an earlier deadline, None once it runs.
    """

    id: str
    model: str
    state: JobState
    attempt: int
    step: int
    steps: int
    position: int | None
    created_unix_ms: int
    deadline_unix_ms: int
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Quota:
    """Whether a request was within its owner's rate.

    `remaining` more are now; there is room for another one in `reset_ms`.
    """

    allowed: bool
    remaining: int
    reset_ms: int


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job: it came into a state, finished a step, got a preview.

    Later events have greater ids (milliseconds of the store's clock, a dash, a number).
    """

    id: str
    name: str
    attempt: int
    step: int
    steps: int
    predicted_ms: float

    @property
    def at_unix_ms(self) -> int:
        """When it happened, by the store's clock."""
        return int(self.id.partition("-")[0])


class GatewayQueue(Protocol):
    """What the gateway asks of the queue. Every method raises StoreUnavailable when it is down."""

    webhooks: WebhookQueue

    async def submit(
        self,
        job: Job,
        budget_ms: float,
        *,
        most_live: int = 0,
        once: Once | None = None,
        met_others: bool = False,
        webhook: str = "",
    ) -> int:
        """Accept a job whose deadline is `budget_ms` from now; return the deadline (unix ms).

        The same id twice is one job. Raises QueueFull at the configured cap, TooManyJobs when its
        owner has `most_live` queued and running jobs already (0: any number may be). While a job
        accepted with `once` is known, raises AlreadyAccepted for the same name and fingerprint and
        KeyReused for the same name with another one; of requests that race, one is accepted. The
        job is remembered among the latest arrivals; with `met_others` it found no worker free. Its
        end is told to the URL `webhook` if there is one.
        """
        ...

    async def turn_away(self, lane: Lane, images: int, budget_ms: float) -> None:
        """Remember a request that others stood in the way of among the latest arrivals."""
        ...

    async def accepted_before(self, once: Once) -> str | None:
        """Return the id of the job accepted with `once`, if it is known; raises KeyReused."""
        ...

    async def owner(self, job_id: str) -> str | None:
        """Return whose job it is, an empty string for nobody's, None when it is unknown."""
        ...

    async def enter(self, owner: str, most: int, window_ms: int) -> Quota:
        """Count a request of `owner`, of which `most` are allowed in any `window_ms`."""
        ...

    async def events(self, job_id: str, after: str = "0") -> list[JobEvent]:
        """Return what happened to a job after the event of that id, oldest first."""
        ...

    def told(self, job_id: str) -> AbstractContextManager[asyncio.Event]:
        """Give an asyncio event that is set whenever something may have happened to the job."""
        ...

    async def wait(self, job_id: str, timeout_s: float) -> Outcome:
        """Return the outcome once there is one; raises WaitTimeout."""
        ...

    async def ended(self, job_id: str, timeout_s: float, *, pictures: bool = True) -> Ended:
        """Do the same, and return the pictures with it if they are wanted."""
        ...

    async def follow(self, job_id: str, seen: int, timeout_s: float) -> Sequence[bytes] | Outcome:
        """Return the previews beyond the first `seen` once there are any, else the outcome.

        Raises WaitTimeout.
        """
        ...

    async def status(self, job_id: str) -> JobStatus | None:
        """Return what is known of a job, None when it is unknown or long over."""
        ...

    async def image(self, job_id: str, index: int) -> bytes | None:
        """Return one finished picture, encoded as its job asked."""
        ...

    async def images(self, job_id: str) -> list[bytes]:
        """Return all finished pictures, in the order of their seeds."""
        ...

    async def preview(self, job_id: str, index: int) -> bytes | None:
        """Return the first picture as it was shown the `index`-th time (from 0; -1: the last)."""
        ...

    async def cancel(self, job_id: str) -> JobState | None:
        """Cancel a queued job now or a running one at its next step; return the state after.

        A running job stays RUNNING until its worker has stopped. None when unknown.
        """
        ...

    async def tag(self, job_id: str, tag: str) -> None:
        """Remember a job under a tag, beside the latest few of the same tag."""
        ...

    async def tagged(self, tag: str) -> list[str]:
        """Return the ids of the latest few jobs under a tag, the newest first."""
        ...

    async def backlog(self, lane: Lane, budget_ms: float) -> Backlog:
        """Return who waits in a lane, and the work with deadlines before `budget_ms` from now."""
        ...

    async def depths(self) -> dict[Lane, Backlog]:
        """Return all queued work by lane."""
        ...

    async def dead_letters(self) -> int:
        """Return how many jobs were given up."""
        ...

    async def memory(self) -> StoreMemory | None:
        """Return how full the store is, None when its user may not ask."""
        ...

    async def cards(self) -> list[WorkerCard]:
        """Return the cards of all live workers."""
        ...

    async def book(self, digest: str) -> PlanBook | None:
        """Return a published plan book."""
        ...

    async def now_unix_ms(self) -> int:
        """Return the store's clock, the only clock deadlines are measured by."""
        ...


class Claimed(Value, frozen=True):
    """A job under lease. `token` fences every later write: a stale one is refused.

    `left_ms` is the time to the deadline at the claim, negative when it has passed; `waited_ms`
    the time since the job was accepted; `attempt` counts from 1.
    """

    job: Job
    token: int
    left_ms: float
    waited_ms: float
    attempt: int


class WorkerQueue(Protocol):
    """What a worker asks of the queue. Every method raises StoreUnavailable when it is down."""

    def claim(self, lane: Lane, worker: str, choose: Choose, wait_s: float) -> list[Claimed]:
        """Lease those of the jobs waiting in a lane that `choose` names.

        It sees the most urgent ones and returns ids; what another worker took in the meantime is
        left out, which may leave nothing. Waits up to `wait_s` for a job, then returns an empty
        list. Expired leases go back to the queue first, or to the dead letters after their last
        attempt.
        """
        ...

    def urgent_ms(self, lane: Lane) -> float | None:
        """Return how long the most urgent of those who wait has left, None when nobody waits.

        Who is late already does not count.
        """
        ...

    def renew(self, claims: Sequence[Claimed]) -> frozenset[str]:
        """Extend the leases; return the ids still held and not cancelled."""
        ...

    def report(self, claims: Sequence[Claimed], step: int) -> frozenset[str]:
        """Record `step` finished steps, extend the leases; return the ids still wanted."""
        ...

    def finish(self, claim: Claimed, result: Result, images: Sequence[bytes]) -> bool:
        """Store the result and pictures; False when the lease was lost and nothing was stored."""
        ...

    def finish_all(self, made: Sequence[Made]) -> list[bool]:
        """Do for each job of a batch what `finish` does, all at once."""
        ...

    def preview(self, claim: Claimed, number: int, picture: bytes) -> bool:
        """Show preview `number` (from 0) of the first picture; False when the lease was lost."""
        ...

    def fail(self, claim: Claimed, failure: Failure, *, retry: bool) -> bool:
        """Give the job another attempt (`retry`) or end it with `failure`; False if lease lost."""
        ...

    def give_back(self, claim: Claimed) -> bool:
        """Return an unfinished job to the queue without counting the attempt."""
        ...

    def publish(self, card: WorkerCard, book: PlanBook) -> None:
        """Announce this worker for one TTL, and its plan book if it is not stored yet."""
        ...

    def now_unix_ms(self) -> int:
        """Return the store's clock, the only clock deadlines are measured by."""
        ...

    def retire(self, worker: str) -> None:
        """Withdraw the card."""
        ...
