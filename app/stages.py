"""One request at every stage of its life: wanted, decided, accepted, made."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from app.contract.jobs import Encoding, Job, PlanOrder
from app.contract.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from app import admission
    from app.contract.jobs import Result
    from app.contract.once import Once
    from app.contract.ports import JobStatus
    from app.fleet import Offer


class PictureRequest(Value, frozen=True, kw_only=True):
    """What a caller wants. None leaves the choice to the service, as do no `solvers`.

    With `exact` it is made by the plan decided on and no other. `owner` may have `concurrent_jobs`
    jobs waiting or running (0: any number). With `once` it is the same job as an earlier request
    with the same key. The end is told to `webhook_url`.
    """

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
    max_steps: int | None = None
    exact: bool = False
    solvers: frozenset[str] = frozenset()
    previews: int = 0
    full_previews: bool = False
    encoding: Encoding = Encoding()
    owner: str = ""
    concurrent_jobs: int = 0
    once: Once | None = None
    webhook_url: str | None = None


class Decision(Value, frozen=True):
    """An admitted request: by which offer, under which promise, with how many previews."""

    offer: Offer
    admit: admission.Admit
    overhead_ms: float
    previews: int = 0


class Accepted(Value, frozen=True):
    """A job in the queue and the moment (of the gateway's clock) its request came in.

    `first` is False when an earlier request brought the job about, and answers for it. A `kept`
    job goes on when its caller leaves: the caller can come back to it.
    """

    job: Job | JobStatus
    budget_ms: float
    created_unix_ms: float
    started_s: float
    first: bool = True
    kept: bool = False

    @property
    def order(self) -> Job:
        """The job as it was ordered here; raises TypeError when an earlier request ordered it."""
        if not isinstance(self.job, Job):
            raise TypeError(f"job {self.job.id} was ordered by an earlier request")
        return self.job


class Made(Value, frozen=True):
    """A finished job: what happened, its pictures if they were asked for, and by when."""

    accepted: Accepted
    result: Result
    images: tuple[bytes, ...]
    elapsed_ms: float

    @property
    def met(self) -> bool:
        """Whether the budget was kept."""
        return self.elapsed_ms <= self.accepted.budget_ms


def order(
    request: PictureRequest,
    decision: Decision,
    guidance_scale: float,
    random_seed: Callable[[], int],
) -> Job:
    """Return the job of an admitted request; what it leaves open comes from book and arguments."""
    seed = random_seed() if request.seed is None else request.seed
    book = decision.offer.book
    usual = book.made.get("guidance_scale", guidance_scale)
    guidance = request.guidance_scale
    return Job(
        id=secrets.token_hex(16),
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
        encoding=request.encoding,
        previews=decision.previews,
        full_previews=request.full_previews,
        solvers=tuple(sorted(request.solvers)),
        max_steps=request.max_steps,
        exact=request.exact,
        owner=request.owner or None,
    )
