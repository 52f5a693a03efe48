from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from schedules.rules import all_compute, deepcache, uniform
from tests.rendering import a_frame, latents_of, some_prompts
from workers.evaluating.closest import Closest
from workers.fitting import fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.pipeline import Model
    from workers.sampler import Frame

STEPS = 4
PICTURES = some_prompts(0, 1)


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def spent() -> list[str]:
    """Return what was made, in order."""
    return []


@pytest.fixture
def closest(tiny: Model, spent: list[str]) -> Closest:
    @contextmanager
    def noted(what: str) -> Iterator[None]:
        spent.append(what)
        yield

    return Closest(tiny, a_frame(tiny, STEPS), PICTURES, silent, noted)


def distance(model: Model, frame: Frame) -> float:
    wanted, _ = latents_of(model, a_frame(model, STEPS), PICTURES)
    latents, _ = latents_of(model, frame, PICTURES)
    return float((latents - wanted).square().flatten(1).mean(1).log().mean())


def test_nothing_that_was_asked_for_ends_closer(tiny: Model, closest: Closest) -> None:
    asked = [uniform(STEPS, tiny.units.graph, 2), deepcache(STEPS, tiny.units.graph, 2)]
    frames = [a_frame(tiny, schedule.normalised(tiny.units.graph)) for schedule in asked]
    fitted = [replace(f, correction=fit(tiny, f, PICTURES, two_tap=True)) for f in frames]

    best = closest.of(asked)

    assert best.error <= min(distance(tiny, frame) for frame in fitted) + 1e-3
    assert best.error == pytest.approx(distance(tiny, best.frame), abs=1e-3)


def test_it_notes_how_long_corrections_take(
    tiny: Model, closest: Closest, spent: list[str]
) -> None:
    closest.of([uniform(STEPS, tiny.units.graph, 2)])

    assert spent == ["two taps"]


def test_an_uncached_run_needs_no_correction(tiny: Model, closest: Closest) -> None:
    best = closest.of([all_compute(STEPS, tiny.units.graph)])

    assert best.frame.correction is None
    assert best.error < -20
