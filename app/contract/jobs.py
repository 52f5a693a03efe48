"""The messages between gateway and worker: a job, its result, or why there is none.

Laws of this file:
1. Messages are values: frozen, holding no connection, changed only by copy.
2. Everything a worker needs to make the picture is in the job, the plan's table included.
3. Each message is one JSON object with a version; an unknown version is a DecodeError.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from app.contract.lanes import Lane
from app.contract.written import Message, Part
from schedules.schedule import Counts, Schedule

if TYPE_CHECKING:
    from schedules.planner import Priced


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.DEAD}),
    JobState.RUNNING: frozenset(JobState) - {JobState.RUNNING},
    JobState.DEAD: frozenset({JobState.QUEUED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}
FINAL_STATES = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.DEAD})


class PlanOrder(Part, frozen=True):
    """A plan by value: what to run, what it was promised to cost, how good it was measured."""

    solver: str
    rule: str
    steps: int
    units: int
    table: str
    correction: str | None
    predicted_ms: float
    metric: str
    quality: float

    @property
    def name(self) -> str:
        """What the plan is called in answers, logs and metrics."""
        return f"{self.solver}-{self.steps}-{self.rule}"

    def schedule(self) -> Schedule:
        """Return the schedule table; raises InvalidSchedule when it is not one."""
        return Schedule.decode(self.table, self.units)

    @classmethod
    def of(cls, priced: Priced) -> Self:
        """Order a priced plan."""
        plan = priced.plan
        return cls(
            solver=plan.solver,
            rule=plan.rule,
            steps=plan.steps,
            units=plan.schedule.units,
            table=plan.schedule.encode(),
            correction=plan.correction,
            predicted_ms=priced.predicted_ms,
            metric=plan.quality.metric,
            quality=plan.quality.value,
        )


class Encoding(Part, frozen=True):
    """How pictures become files: `format` is png, jpeg or webp, `quality` 1 to 100 (not of png).

    With `described`, the settings a picture was made with are written into its file.
    """

    format: str = "png"
    quality: int = 90
    described: bool = True


class Job(Message, frozen=True, kw_only=True):
    """One accepted request: what picture, by which plan. Its deadline is kept by the queue.

    `previews` times the first picture is shown on its way: small, for next to no time, or with
    `full_previews` in full. `solvers` (none: any) and `max_steps` hold for whatever plan replaces
    the ordered one, too. An `exact` job is made by the ordered plan, neither better nor faster.
    """

    id: str
    model: str
    revision: str
    prompt: str
    negative_prompt: str
    seeds: tuple[int, ...]
    width: int
    height: int
    guidance_scale: float
    plan: PlanOrder
    min_quality: float = 0.0
    encoding: Encoding = Encoding()
    previews: int = 0
    full_previews: bool = False
    solvers: tuple[str, ...] = ()
    max_steps: int | None = None
    exact: bool = False
    trace: str | None = None
    owner: str | None = None

    @property
    def lane(self) -> Lane:
        """Where it waits."""
        return Lane(self.model, self.width, self.height)

    @property
    def images(self) -> int:
        """Number of pictures asked for."""
        return len(self.seeds)

    @property
    def floor(self) -> float:
        """The quality that no crowd makes it give up."""
        return self.plan.quality if self.exact else self.min_quality

    @property
    def batch_class(self) -> str:
        """Jobs of the same class can run as one batch, by one plan that suits all of them."""
        parts = (
            self.model, self.revision, self.width, self.height, self.guidance_scale,
            self.min_quality, self.solvers, self.max_steps, self.plan if self.exact else None,
        )  # fmt: skip
        return _digest(parts)


class RanPlan(Part, frozen=True):
    """The plan that really ran, and whether it replaced the ordered one.

    To keep its time, `hurried_steps` of its steps computed less than the schedule said, and
    `extended_steps` more.
    """

    solver: str
    rule: str
    steps: int
    correction: str | None
    compute_fraction: float
    predicted_ms: float
    metric: str
    quality: float
    replanned: bool
    hurried_steps: int = 0
    extended_steps: int = 0

    @property
    def name(self) -> str:
        """What the plan is called in answers, logs and metrics."""
        return f"{self.solver}-{self.steps}-{self.rule}"


class Timing(Part, frozen=True):
    """Measured milliseconds. `total_ms` runs from acceptance by the queue to the stored result."""

    queue_ms: float
    encode_ms: float
    denoise_ms: float
    decode_ms: float
    png_ms: float
    total_ms: float

    @property
    def making_ms(self) -> float:
        """The stages a plan's prediction covers."""
        return self.encode_ms + self.denoise_ms + self.decode_ms + self.png_ms


class Result(Message, frozen=True, kw_only=True):
    """What really happened: measured times and counted cache hits. Pictures are kept beside it."""

    job_id: str
    worker: str
    seeds: tuple[int, ...]
    plan: RanPlan
    timing: Timing
    cache: Counts
    batch_size: int


class Reason(StrEnum):
    """Why a job has no picture."""

    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    ERROR = "error"
    DEAD = "dead"


class Failure(Message, frozen=True):
    """Why a job has no picture, in one sentence."""

    job_id: str
    reason: Reason
    detail: str


Outcome = Result | Failure


@lru_cache(maxsize=256)
def _digest(parts: tuple[object, ...]) -> str:
    """Return a short name of what most jobs have in common with many."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
