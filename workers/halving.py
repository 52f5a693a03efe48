"""Goes on when the device's memory is too small for a batch: in halves, down to single pictures."""

from __future__ import annotations

import gc
import logging
from dataclasses import fields, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from schedules.schedule import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.contract.ports import Claimed
    from workers.batch import Ran
    from workers.rendering import Rendered

    Part = tuple[Sequence[Claimed], Ran]
    Run = Callable[[Sequence[Claimed]], Ran]

log = logging.getLogger(__name__)
# What torch and the libraries below it say where they raise no error of a kind of its own.
WORDS = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
T = TypeVar("T", "Ran", "Rendered")


class Halving:
    """Runs batches that may be too large, and remembers which were.

    `max_batch` is the largest batch worth claiming: at first what it was told, then no more than
    half of the smallest batch that was too large. `give_way` frees memory that can be done without
    and says whether there was any: then a batch is tried again before it is called too large.
    """

    def __init__(self, max_batch: int, give_way: Callable[[], bool] = lambda: False) -> None:
        self.max_batch = max_batch
        self._give_way = give_way
        self._too_large = float("inf")

    def __call__(
        self, run: Run, claims: Sequence[Claimed], done: Callable[[Sequence[Claimed], Ran], None]
    ) -> Part:
        """Run `claims`, in parts if need be; `done` is told of each part but the last, returned.

        Pictures of one job are made in parts too, which are put together before its part is told.
        Raises what `run` raises, also that the memory is too small for a single picture.
        """
        for part, ran in self._parts(run, claims):
            if part[-1] is claims[-1]:
                return part, ran
            done(part, ran)
        raise AssertionError("the last claim is in the last part")

    def _parts(self, run: Run, claims: Sequence[Claimed]) -> Iterator[Part]:
        ran = self._attempt(run, claims)
        if ran is not None:
            yield claims, ran
        elif len(claims) > 1:
            for half in _halves(claims):
                yield from self._parts(run, half)
        else:
            pieces = _pieces(claims[0])
            rans = [ran for piece in pieces for _, ran in self._parts(run, [piece])]
            yield claims, reduce(together, rans)

    def _attempt(self, run: Run, claims: Sequence[Claimed]) -> Ran | None:
        """Return what was made, None when that many pictures are too many at once."""
        images = sum(claim.job.images for claim in claims)
        if images >= self._too_large:
            return None
        try:
            return run(claims)
        except Exception as error:
            again = is_out_of_memory(error) and self._give_way()
            if not again and (images == 1 or not is_out_of_memory(error)):
                raise
        # Only here is the error gone, and with it the frames that hold the memory of the run.
        if not again:
            self._remember(images)
        free_memory()
        return self._attempt(run, claims) if again else None

    def _remember(self, images: int) -> None:
        self._too_large = images
        self.max_batch = min(self.max_batch, images // 2)
        log.warning(
            "out of memory with %d pictures at once: from now on at most %d", images, self.max_batch
        )


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that the device's memory, or the machine's, is too small."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def free_memory() -> None:
    """Give back what nobody uses any more, so that a smaller batch finds it in one piece."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def together(first: Ran, second: Ran) -> Ran:
    """Join the runs of two parts of a job: all pictures, all time, the poorer of the plans."""
    poorer = min(first.plan, second.plan, key=lambda plan: (plan.quality, -plan.hurried_steps))
    made, more = first.rendered, second.rendered
    counts = Counts(*(getattr(made.counts, n) + getattr(more.counts, n) for n in Counts.__slots__))
    rendered = replace(_timed(made, more), images=made.images + more.images, counts=counts)
    return replace(_timed(first, second), rendered=rendered, plan=poorer)


def _timed(first: T, second: T) -> T:
    """Return `first` with every time of both added up."""
    names = [field.name for field in fields(first) if field.name.endswith("_ms")]
    times: dict[str, Any] = {name: getattr(first, name) + getattr(second, name) for name in names}
    return replace(first, **times)


def _halves(claims: Sequence[Claimed]) -> tuple[Sequence[Claimed], Sequence[Claimed]]:
    middle = len(claims) // 2
    return claims[:middle], claims[middle:]


def _pieces(claim: Claimed) -> tuple[Claimed, Claimed]:
    """Split the pictures of one job; previews are of its first."""
    job, middle = claim.job, claim.job.images // 2
    first, rest = job.copy(seeds=job.seeds[:middle]), job.copy(seeds=job.seeds[middle:])
    return claim.copy(job=first), claim.copy(job=rest.copy(previews=0))
