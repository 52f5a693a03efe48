from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from schedules.influence import Influence, expected_error
from schedules.rules import all_compute, deepcache
from schedules.schedule import Schedule
from workers.fitting import fit
from workers.influence import InfluenceSettings, measure_influence
from workers.sampler import Frame, Prompt, denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.pipeline import Model

STEPS = 8
REQUESTS = [Prompt("a red apple", None, 0), Prompt("a blue car", None, 1)]
SETTINGS = InfluenceSettings(projections=32, longest_lag=3, batch=2, frugal=False)


def frame(model: Model, solver: str = "dpmpp_2m") -> Frame:
    size = model.native_size
    return Frame(size, size, 3.0, solver, all_compute(STEPS, model.units.graph))


def picture(model: Model, schedule: Schedule) -> Tensor:
    return picture_of(model, replace(frame(model), schedule=schedule))


@torch.no_grad()
def picture_of(model: Model, followed: Frame) -> Tensor:
    conditioning = encode(model, REQUESTS, followed)
    latents, _ = denoise(model, conditioning, initial_latents(model, REQUESTS, followed), followed)
    return model.family.reveal(model.pipe, latents)


def squared_error(model: Model, schedule: Schedule, uncached: Tensor) -> float:
    return error_of(model, replace(frame(model), schedule=schedule), uncached)


def error_of(model: Model, followed: Frame, uncached: Tensor) -> float:
    return float((picture_of(model, followed) - uncached).square().flatten(1).sum(1).mean())


def one_reuse(model: Model, unit: str, step: int) -> Schedule:
    graph = model.units.graph
    rows = [[True] * len(graph) for _ in range(STEPS)]
    rows[step][graph.index(unit)] = False
    return Schedule.of(rows)


@pytest.fixture(scope="module")
def measured(models: Callable[[str], Model]) -> Influence:
    emoji = models("emoji-small")
    return measure_influence(emoji, REQUESTS, frame(emoji), SETTINGS).plain


@pytest.fixture(scope="module")
def uncached(models: Callable[[str], Model]) -> Tensor:
    emoji = models("emoji-small")
    return picture(emoji, all_compute(STEPS, emoji.units.graph))


@pytest.mark.parametrize(
    ("unit", "step"), [("up.2.attn.1", 6), ("up.1.resnet.0", 4), ("up.0.upsampler", 5)]
)
def test_the_expected_error_of_a_small_reuse_is_what_it_really_does(
    emoji: Model, measured: Influence, uncached: Tensor, unit: str, step: int
) -> None:
    schedule = one_reuse(emoji, unit, step)

    expected = expected_error(measured, schedule, emoji.units.graph)

    assert expected == pytest.approx(squared_error(emoji, schedule, uncached), rel=0.75)


def test_along_a_cached_run_the_expected_error_is_that_of_the_run(
    emoji: Model, uncached: Tensor
) -> None:
    graph = emoji.units.graph
    late, early = one_reuse(emoji, "up.2.attn.1", 6), one_reuse(emoji, "up.1.resnet.0", 4)
    both = Schedule((*early.computes[:6], *late.computes[6:]))
    cached = replace(frame(emoji), schedule=both)
    corrected = replace(cached, correction=fit(emoji, cached, REQUESTS, two_tap=True))
    found = measure_influence(emoji, REQUESTS, corrected, SETTINGS).corrected

    expected = expected_error(found, both, graph)

    assert expected == pytest.approx(error_of(emoji, corrected, uncached), rel=0.75)


def test_schedules_are_ordered_as_their_pictures_are(
    emoji: Model, measured: Influence, uncached: Tensor
) -> None:
    graph = emoji.units.graph
    late_cut = deepcache(STEPS, graph, 2, 0)
    tried = [one_reuse(emoji, "up.0.attn.0", 6), one_reuse(emoji, "up.2.resnet.1", 3), late_cut]

    expected = [expected_error(measured, schedule, graph) for schedule in tried]
    real = [squared_error(emoji, schedule, uncached) for schedule in tried]

    assert np.argsort(expected).tolist() == np.argsort(real).tolist()


def test_nothing_can_be_reused_before_there_is_anything(measured: Influence) -> None:
    for step in range(STEPS):
        assert not measured.effects[:, step, step:].any()


def test_recomputing_for_memory_changes_nothing(models: Callable[[str], Model]) -> None:
    tiny, few = models("sd1"), replace(SETTINGS, projections=2)

    whole = measure_influence(tiny, REQUESTS, frame(tiny), few)
    frugal = measure_influence(tiny, REQUESTS, frame(tiny), replace(few, frugal=True))

    for kept, again in ((whole.plain, frugal.plain), (whole.corrected, frugal.corrected)):
        assert np.allclose(kept.effects, again.effects, rtol=1e-3, atol=1e-5)


def test_only_long_runs_and_large_unets_are_recomputed_for_memory(tiny: Model) -> None:
    settings = InfluenceSettings()

    assert not settings.frugal_with(tiny.pipe.unet, STEPS)
    assert settings.frugal_with(tiny.pipe.unet, 10**6)
    assert not replace(settings, frugal=False).frugal_with(tiny.pipe.unet, 10**6)


@pytest.mark.parametrize("name", ["sd2", "sdxl"])
def test_every_family_and_solver_can_be_measured(models: Callable[[str], Model], name: str) -> None:
    model, few = models(name), replace(SETTINGS, projections=1)

    found = measure_influence(model, REQUESTS, frame(model, "ddim"), few).corrected

    assert found.effects.shape == (len(model.units.graph), STEPS, 3, 2)
    assert np.abs(found.effects[:, 1:, 0]).sum() > 0


def test_the_unet_is_left_as_it_was(models: Callable[[str], Model]) -> None:
    tiny = models("sd1")
    before = picture(tiny, all_compute(STEPS, tiny.units.graph))

    measure_influence(tiny, REQUESTS, frame(tiny), replace(SETTINGS, projections=1))

    assert torch.equal(picture(tiny, all_compute(STEPS, tiny.units.graph)), before)


def test_progress_counts_pictures(models: Callable[[str], Model]) -> None:
    tiny, seen = models("sd1"), list[tuple[int, int]]()

    measure_influence(
        tiny, REQUESTS, frame(tiny), replace(SETTINGS, projections=1, batch=1),
        lambda done, total: seen.append((done, total)),
    )  # fmt: skip

    assert seen == [(1, 2), (2, 2)]
