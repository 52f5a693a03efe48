"""What is done to the best plans for as long as one likes: single moves, and training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schedules.book import Plan, Quality
from schedules.rules import all_compute, uniform
from tests.tiny_books import costs_for
from workers import calibration_parts as parts
from workers.calibration_settings import CalibrationSettings
from workers.correcting import Corrected, Correcting
from workers.moving import Moving
from workers.partial import PartialFolder
from workers.polishing import polished
from workers.quality import METRIC, Judge, PerceptualDistance
from workers.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from workers.calibration_parts import Keep
    from workers.pipeline import Model

SETTINGS = CalibrationSettings(
    16, 16, 3.0, prompts=("a red apple", "a green pear"), seeds=1, batches=(1, 2)
)
STEPS = 3


class Told:
    """Progress that remembers what it heard."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, int]] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.last[stage] = (done, total)


def correcting_of(model: Model, keep: Keep = parts.keep_nothing) -> Correcting:
    studio = Studio(model, SETTINGS)
    pictures = studio.pictures("ddim", all_compute(STEPS, model.units.graph), 2)
    judge = Judge(pictures, PerceptualDistance(model.device))
    return Correcting(model, SETTINGS, studio, judge, costs_for(model), {}, Told(), keep)


def told(correcting: Correcting) -> dict[str, tuple[int, int]]:
    assert isinstance(correcting.progress, Told)
    return correcting.progress.last


@pytest.fixture
def correcting(tiny: Model) -> Correcting:
    return correcting_of(tiny)


@pytest.fixture
def reference(tiny: Model, correcting: Correcting) -> Tensor:
    return correcting.studio.latents("ddim", all_compute(STEPS, tiny.units.graph), 2)


@pytest.fixture
def begun(tiny: Model, correcting: Correcting) -> Corrected:
    graph = tiny.units.graph
    schedule = uniform(STEPS, graph, 2)
    plan = Plan.of("ddim", "uniform-2", schedule, graph, Quality(METRIC, 0.0))
    return correcting.corrected(plan)


def distance(correcting: Correcting, plan: Plan, reference: Tensor) -> float:
    correction = correcting.correction_of(plan)
    latents = correcting.studio.latents(plan.solver, plan.schedule, len(reference), correction)
    return float((latents - reference).square().flatten(1).mean(1).log().mean())


def test_what_has_moved_is_closer_and_costs_no_more(
    correcting: Correcting, reference: Tensor, begun: Corrected
) -> None:
    costs = correcting.costs

    for plan in Moving(correcting, reference).moved([begun], minutes=10):
        was, now = (costs.total_ms(p.steps, p.unit_runs) for p in (begun.plan, plan))
        assert now <= was * 1.0001
        assert distance(correcting, plan, reference) < distance(correcting, begun.plan, reference)


def test_moves_end_with_their_time(
    correcting: Correcting, reference: Tensor, begun: Corrected
) -> None:
    assert Moving(correcting, reference).moved([begun], minutes=0) == []
    assert told(correcting)["moves"] == (0, 0)


def test_every_round_keeps_to_the_time_of_the_plan_it_begins_from(
    correcting: Correcting, begun: Corrected
) -> None:
    costs = correcting.costs

    for one in correcting.round(1, [begun]):
        was, now = (costs.total_ms(p.steps, p.unit_runs) for p in (begun.plan, one.plan))
        assert now <= was * 1.0001
        assert one.plan.schedule != begun.plan.schedule
        assert one.correction.is_for("ddim", one.plan.schedule)


def test_a_trained_correction_is_taken_where_it_comes_closer(
    correcting: Correcting, begun: Corrected
) -> None:
    (found,) = polished(correcting, [begun], [begun], minutes=1 / 600)

    assert found.plan.schedule == begun.plan.schedule
    assert found.plan.quality.value >= begun.plan.quality.value
    assert found.plan.correction == found.correction.id
    assert told(correcting)["training"] == (1, 1)


def test_a_finished_slice_of_training_is_not_trained_again(
    models: Callable[[str], Model], begun: Corrected, tmp_path: Path
) -> None:
    def trained() -> Corrected:
        keep = PartialFolder.opened(tmp_path / "partial", {})
        correcting = correcting_of(models("sd1"), keep)
        return polished(correcting, [begun], [begun], minutes=1 / 600)[0]

    assert trained().correction == trained().correction
