"""A run that is told what to do on its way, and runs that take turns on one UNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from schedules.rules import uniform
from schedules.schedule import Counts, Work, work_of
from tests.rendering import a_frame, latents_of, some_prompts
from tests.unet_calls import ran
from workers.cached_unet import CacheRun, cached, installed

if TYPE_CHECKING:
    from torch import Tensor

    from workers.pipeline import Model


def test_a_step_that_is_told_another_row_follows_it_once(tiny: Model) -> None:
    empty = (False,) * len(tiny.units.graph)

    def hurry_once(step: int, run: CacheRun, _latents: Tensor) -> bool:
        if step == 0:
            run.follow(empty)
        return True

    _, counts = latents_of(tiny, a_frame(tiny, 3), some_prompts(), hurry_once)

    row = work_of(empty, tiny.units.graph)
    assert counts == Counts(2 * len(row), row.count(Work.REUSED), row.count(Work.SKIPPED))


def test_a_run_told_to_compute_all_is_the_uncached_one(tiny: Model) -> None:
    def compute_all(_step: int, run: CacheRun, _latents: Tensor) -> bool:
        run.follow((True,) * len(tiny.units.graph))
        return True

    frame = a_frame(tiny, uniform(4, tiny.units.graph, 2))
    extended, _ = latents_of(tiny, frame, some_prompts(), compute_all)
    full, _ = latents_of(tiny, a_frame(tiny, 4), some_prompts())

    assert torch.equal(extended, full)


def test_runs_can_take_turns(tiny: Model) -> None:
    schedule = uniform(3, tiny.units.graph, 2)
    one, other = (CacheRun(schedule, tiny.units) for _ in range(2))
    taken: list[Tensor] = []
    for step in range(3):
        for value, run in enumerate((one, other)):
            with installed(tiny.units, run):
                taken.append(ran(tiny, run, step, value=float(value)))
    with cached(tiny.units, schedule) as alone:
        expected = [ran(tiny, alone, step) for step in range(3)]

    assert all(torch.equal(a, b) for a, b in zip(taken[::2], expected, strict=True))


def test_one_runs_cache_is_not_seen_by_the_next(tiny: Model) -> None:
    frame = a_frame(tiny, uniform(4, tiny.units.graph, 2))
    first, _ = latents_of(tiny, frame, some_prompts(1))
    latents_of(tiny, frame, some_prompts(2))
    again, _ = latents_of(tiny, frame, some_prompts(1))

    assert torch.equal(first, again)
