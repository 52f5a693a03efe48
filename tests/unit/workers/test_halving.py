from __future__ import annotations

import time
import weakref
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from app.contract.ports import Claimed
from tests.integration.worker_loops import pixels
from tests.tiny_books import book_for, costs_for, job_for
from workers.batch import Desk, Ran, results, run_batch
from workers.halving import Halving, is_out_of_memory, together
from workers.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.contract.jobs import Job
    from workers.pipeline import Model

GUIDED_ROWS = 2


@pytest.fixture
def desk(tiny: Model) -> Desk:
    return Desk("worker-1", tiny, book_for(tiny), costs_for(tiny))


@contextmanager
def memory_for(model: Model, images: int) -> Iterator[list[int]]:
    """Let the UNet run out of memory with more pictures; yield how many each run began with."""
    seen: list[int] = []

    def refuse(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sample = args[0] if args else kwargs["sample"]
        seen.append(len(sample) // GUIDED_ROWS)
        if seen[-1] > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    hook = model.pipe.unet.register_forward_pre_hook(refuse, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


class Bench:
    """Runs claims by halves and keeps what came of it."""

    def __init__(self, desk: Desk, max_batch: int = 8) -> None:
        self.desk = desk
        self.halving = Halving(max_batch)
        self.parts: list[list[Claimed]] = []
        self.made: dict[str, tuple[bytes, ...]] = {}

    def run(self, *claims: Claimed) -> Ran:
        part, ran = self.halving(self._run, claims, self._done)
        self._done(part, ran)
        return ran

    def shows_the_same_as(self, other: Bench) -> bool:
        """Whether both made the same pictures, but for the last bit that the batch may change."""
        pairs = [
            (mine, theirs)
            for job_id in other.made
            for mine, theirs in zip(self.made[job_id], other.made[job_id], strict=True)
        ]
        differences = [np.abs(pixels(mine) - pixels(theirs)).max() for mine, theirs in pairs]
        return bool(differences) and max(differences) <= 1

    def _run(self, claims: Sequence[Claimed]) -> Ran:
        queue: Any = None
        lease = Lease(queue, claims, stall_s=60.0)
        return run_batch(self.desk, claims, lease, time.monotonic(), lambda: False)

    def _done(self, claims: Sequence[Claimed], ran: Ran) -> None:
        self.parts.append(list(claims))
        for claim, _, images in results(self.desk, claims, ran, lambda: 1.0):
            self.made[claim.job.id] = images


def claimed(job: Job) -> Claimed:
    return Claimed(job, token=1, left_ms=60_000.0, waited_ms=5.0, attempt=1)


def some_claims(desk: Desk, count: int) -> list[Claimed]:
    return [claimed(job_for(desk.model, desk.book.plans[1], seeds=(n,))) for n in range(count)]


def test_a_batch_too_large_for_the_memory_is_made_in_halves(desk: Desk) -> None:
    claims = some_claims(desk, 4)
    bench, whole = Bench(desk), Bench(desk)
    whole.run(*claims)
    with memory_for(desk.model, 2):
        bench.run(*claims)

    assert bench.parts == [claims[:2], claims[2:]]
    assert bench.shows_the_same_as(whole)
    assert bench.halving.max_batch == 2


@pytest.mark.parametrize("count", [1, 4])
def test_a_batch_is_tried_again_after_something_else_gave_way(desk: Desk, count: int) -> None:
    claims, bench = some_claims(desk, count), Bench(desk)
    with ExitStack() as memory:
        memory.enter_context(memory_for(desk.model, count - 1))

        def give_way() -> bool:
            memory.close()
            return True

        bench.halving = Halving(8, give_way)
        bench.run(*claims)

    assert bench.parts == [claims]
    assert bench.halving.max_batch == 8


def test_halves_are_halved_down_to_single_pictures(desk: Desk) -> None:
    claims = some_claims(desk, 3)
    bench = Bench(desk)
    with memory_for(desk.model, 1):
        bench.run(*claims)

    assert bench.parts == [[claim] for claim in claims]
    assert bench.halving.max_batch == 1


def test_the_pictures_of_one_job_are_made_in_parts_and_stay_one_answer(desk: Desk) -> None:
    claim = claimed(job_for(desk.model, desk.book.plans[1], seeds=(1, 2, 3)))
    bench, whole = Bench(desk), Bench(desk)
    at_once = whole.run(claim)
    with memory_for(desk.model, 1):
        ran = bench.run(claim)

    assert bench.parts == [[claim]]
    assert bench.shows_the_same_as(whole)
    assert ran.rendered.counts.computed == 3 * at_once.rendered.counts.computed
    assert ran.predicted_ms == pytest.approx(at_once.predicted_ms)  # batches are no cheaper here


def test_what_was_too_large_once_is_not_tried_again(desk: Desk) -> None:
    bench = Bench(desk)
    with memory_for(desk.model, 2) as seen:
        bench.run(*some_claims(desk, 4))
        tried = seen.count(4)
        bench.run(*some_claims(desk, 4))

    assert (tried, seen.count(4)) == (1, 1)


def test_a_single_picture_that_does_not_fit_is_an_error(desk: Desk) -> None:
    bench = Bench(desk)
    with memory_for(desk.model, 0), pytest.raises(torch.OutOfMemoryError):
        bench.run(*some_claims(desk, 1))

    assert bench.halving.max_batch == 8


def test_another_error_halves_nothing(desk: Desk) -> None:
    def broken(_: Sequence[Claimed]) -> Ran:
        raise RuntimeError("shapes do not match")

    halving = Halving(8)
    with pytest.raises(RuntimeError, match="shapes"):
        halving(broken, some_claims(desk, 4), lambda *_: None)

    assert halving.max_batch == 8


def test_the_memory_of_the_failed_run_is_free_before_the_next_one(desk: Desk) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def run(claims: Sequence[Claimed]) -> Ran:
        if len(claims) > 1:
            tensor = torch.zeros(8)
            held.append(weakref.ref(tensor))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        assert held[0]() is None
        return bench._run(claims)

    bench = Bench(desk)
    bench.halving(run, some_claims(desk, 2), bench._done)

    assert held


def test_parts_of_a_job_by_different_plans_report_the_poorer_one(desk: Desk) -> None:
    ran = Bench(desk).run(*some_claims(desk, 1))
    poor = replace(ran, plan=ran.plan.copy(quality=0.1))

    assert together(ran, poor).plan == together(poor, ran).plan == poor.plan


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("DefaultCPUAllocator"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
