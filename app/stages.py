"""One request at every stage of its life: wanted, decided, accepted, made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.contract.jobs import Encoding

if TYPE_CHECKING:
    from app.admission import Admit
    from app.contract.jobs import Job, Result
    from app.fleet import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRequest:
    """What a caller wants. None leaves the choice to the service, as do no `solvers`."""

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
    solvers: frozenset[str] = frozenset()
    previews: int = 0
    encoding: Encoding = field(default_factory=Encoding)


@dataclass(frozen=True, slots=True)
class Decision:
    """An admitted request: by which offer, under which promise, with how many previews."""

    offer: Offer
    admit: Admit
    overhead_ms: float
    previews: int = 0


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
