from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from schedules.planner import price
from tests.bundled import SIDE
from tests.corrections import a_correction
from tests.rendering import a_frame
from tests.tiny_books import book_for
from workers.calibration_files import FOLDER, book_path, load_book, load_costs, save_correction
from workers.errors import CalibrationError
from workers.main import WorkerSettings, prepare
from workers.warming import WARM_UP_PLANS, WARM_UP_SPAN, probe, record, warm_up, warm_up_plans

if TYPE_CHECKING:
    from pathlib import Path

    from workers.correction import Correction
    from workers.pipeline import Model


@pytest.fixture
def settings(tiny: Model, tmp_path: Path) -> WorkerSettings:
    """Return the settings of a worker whose plan book lies in a folder of its own."""
    book_path(tmp_path, 16, 16).write_text(json.dumps(book_for(tiny).to_dict()))
    return WorkerSettings(model="sd1", store_url="redis://unused", plans=tmp_path, max_batch=2)


def test_a_worker_measures_itself_before_it_announces_anything(
    tiny: Model, settings: WorkerSettings
) -> None:
    desk, card = prepare(tiny, settings)

    assert (card.model, card.revision, card.ready) == (tiny.name, tiny.revision, False)
    assert (card.book, card.costs) == (desk.book.digest, desk.costs)
    assert card.max_batch == card.costs.largest <= 2
    assert all(took.actual_ms > 0 for took in [*warm_up(desk), probe(desk)])


def test_without_cuda_no_step_is_recorded(tiny: Model, settings: WorkerSettings) -> None:
    desk, _ = prepare(tiny, settings)
    record(desk)

    assert not desk.graphs.are_on


def test_the_first_pictures_are_cheap_ones_and_different(emoji: Model) -> None:
    folder = emoji.folder / FOLDER
    costs = load_costs(folder, SIDE, SIDE)
    frontier = load_book(folder, SIDE, SIDE).frontier(costs)
    chosen = warm_up_plans(frontier, costs)

    times_ms = [price(plan, costs).predicted_ms for plan in chosen]
    assert 1 < len({plan.name for plan in chosen}) <= WARM_UP_PLANS
    assert max(times_ms) <= WARM_UP_SPAN * price(frontier[0], costs).predicted_ms


def test_every_worker_has_a_name_of_its_own(tiny: Model, settings: WorkerSettings) -> None:
    (_, one), (_, other) = (prepare(tiny, settings) for _ in range(2))

    assert one.worker != other.worker


def test_a_worker_without_a_plan_book_says_how_to_make_one(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="run blockcache calibrate"):
        prepare(tiny, WorkerSettings(model="sd1", store_url="redis://unused", plans=tmp_path))


def test_a_worker_knows_the_corrections_of_its_book(
    tiny: Model, settings: WorkerSettings, tmp_path: Path
) -> None:
    correction = name_correction(tiny, tmp_path)
    save_correction(correction, tmp_path)
    desk, _ = prepare(tiny, settings)

    assert desk.corrections == {correction.id: correction}
    assert desk.correction_of(desk.book.plans[1]) == correction
    assert desk.correction_of(desk.book.plans[0]) is None
    assert all(took.actual_ms > 0 for took in warm_up(desk))


def test_a_worker_does_not_start_without_the_corrections_of_its_book(
    tiny: Model, settings: WorkerSettings, tmp_path: Path
) -> None:
    name_correction(tiny, tmp_path)

    with pytest.raises(CalibrationError, match="there is no correction"):
        prepare(tiny, settings)


def name_correction(model: Model, folder: Path) -> Correction:
    """Let the second plan of the book in a folder name a correction, and return that."""
    book = book_for(model)
    first, plan, *rest = book.plans
    correction = a_correction(model, a_frame(model, plan.schedule))
    named = book.with_plans((first, replace(plan, correction=correction.id), *rest))
    book_path(folder, 16, 16).write_text(json.dumps(named.to_dict()))
    return correction
