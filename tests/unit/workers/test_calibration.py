from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from schedules.rules import all_compute
from tests.tiny_books import book_for
from workers.calibrating import prompts_from
from workers.calibration import Calibration, calibrate
from workers.calibration_files import load_book, load_corrections, load_costs, load_profiles, save
from workers.calibration_settings import CalibrationSettings
from workers.errors import CalibrationError
from workers.fitting import fit
from workers.main import checked_book
from workers.quality import METRIC
from workers.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workers.pipeline import Model

STAGES = [
    "costs",
    "reference",
    "change profiles",
    "uncached runs",
    "influence",
    "screening",
    "measuring",
    "corrections",
    "rests",
    "round 1",
]


def settings(**changes: Any) -> CalibrationSettings:
    fields: dict[str, Any] = {
        "prompts": ("a red apple", "a green pear"),
        "seeds": 1,
        "steps": (1, 2, 3),
        "solvers": ("ddim", "dpmpp_2m_p1.2"),
        "deltas": (0.2,),
        "batches": (1, 2),
        "screening_pictures": 1,
        "rounds": 1,
    }
    return CalibrationSettings(16, 16, 3.0, **{**fields, **changes})


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    """Return what the calibration reported."""
    return []


@pytest.fixture(scope="module")
def calibration(models: Callable[[str], Model], told: list[tuple[str, int, int]]) -> Calibration:
    return calibrate(models("sd1"), settings(), lambda *progress: told.append(progress))


def test_the_book_is_for_this_model_and_size(tiny: Model, calibration: Calibration) -> None:
    book = calibration.book

    assert (book.model, book.revision) == (tiny.name, tiny.revision)
    assert (book.width, book.height, book.metric) == (16, 16, METRIC)


def test_every_kept_plan_has_measured_quality(calibration: Calibration) -> None:
    for plan in calibration.book.plans:
        assert plan.quality.value == round(plan.quality.value, 6) <= 1
        assert set(plan.measured) == {"psnr_db", "ssim", "similarity"}


def test_kept_plans_are_of_the_solvers_and_steps_asked_for(calibration: Calibration) -> None:
    plain = [plan for plan in calibration.book.plans if "-rest-" not in plan.rule]
    assert {plan.steps for plan in plain} <= {1, 2, 3}
    assert set(calibration.profiles) == {
        (solver, steps) for solver in ("ddim", "dpmpp_2m_p1.2") for steps in (2, 3)
    }


def test_a_single_step_which_has_nothing_to_reuse_is_a_plan(calibration: Calibration) -> None:
    single = [plan for plan in calibration.book.plans if plan.steps == 1]

    assert [(plan.solver, plan.schedule.is_uncached) for plan in single] == [("dpmpp_2m", True)]


def test_profiles_are_taken_over_all_pictures(tiny: Model, calibration: Calibration) -> None:
    profile = calibration.profiles["ddim", 3]

    assert (profile.samples, profile.steps) == (2, 3)
    assert profile.units == len(tiny.units.graph)


def test_every_stage_is_reported_to_its_end(
    calibration: Calibration, told: list[tuple[str, int, int]]
) -> None:
    last = {stage: (done, total) for stage, done, total in told}

    assert list(last) == STAGES
    assert all(done == total for done, total in last.values())


def test_plans_are_corrected_by_what_was_fitted_for_them(calibration: Calibration) -> None:
    corrected = {plan.correction: plan for plan in calibration.book.plans if plan.correction}

    assert corrected.keys() == calibration.corrections.keys()
    for name, plan in corrected.items():
        assert calibration.corrections[name].is_for(plan.solver, plan.schedule)


def test_plans_with_steps_of_rest_are_kept_with_a_correction_only(
    calibration: Calibration,
) -> None:
    rested = [plan for plan in calibration.book.plans if "-rest-" in plan.rule]

    assert all(plan.correction for plan in rested)


def test_a_worker_loads_the_corrections_that_were_written(
    tiny: Model, calibration: Calibration, tmp_path: Path
) -> None:
    plan = next(plan for plan in calibration.book.plans if plan.counts.hit_ratio)
    frame = calibration.settings.frame(plan.solver, plan.schedule)
    correction = fit(tiny, frame, calibration.settings.requests, two_tap=True)
    book = calibration.book.with_plans([replace(plan, correction=correction.id)])
    corrected = replace(calibration, book=book, corrections={correction.id: correction})

    save(corrected, tiny, tmp_path)

    assert load_corrections(tmp_path, load_book(tmp_path, 16, 16)) == {correction.id: correction}


def test_what_is_written_is_what_is_read(
    tiny: Model, calibration: Calibration, tmp_path: Path
) -> None:
    save(calibration, tiny, tmp_path / "new")
    book = load_book(tmp_path / "new", 16, 16)

    assert (book.graph, book.plans) == (calibration.book.graph, calibration.book.plans)
    assert load_costs(tmp_path / "new", 16, 16) == calibration.costs
    assert load_profiles(tmp_path / "new", 16, 16).keys() == calibration.profiles.keys()


def test_profiles_survive_the_file(tiny: Model, calibration: Calibration, tmp_path: Path) -> None:
    save(calibration, tiny, tmp_path)
    for key, profile in load_profiles(tmp_path, 16, 16).items():
        original = calibration.profiles[key]
        assert profile.samples == original.samples
        for row, known in zip(profile.mean, original.mean, strict=True):
            assert row == pytest.approx(known, rel=1e-5)


def test_a_book_says_what_it_was_made_with(
    tiny: Model, calibration: Calibration, tmp_path: Path
) -> None:
    save(calibration, tiny, tmp_path)
    made = load_book(tmp_path, 16, 16).made

    assert made["revision"] == tiny.revision
    assert made["guidance_scale"] == 3.0
    assert made["prompts"] == ["a red apple", "a green pear"]
    assert "torch" in made["versions"]


def test_a_worker_takes_the_book_of_its_own_weights_only(
    tiny: Model, models: Callable[[str], Model], calibration: Calibration, tmp_path: Path
) -> None:
    save(calibration, tiny, tmp_path)

    assert checked_book(tiny, tmp_path, 16, 16).revision == tiny.revision
    with pytest.raises(CalibrationError, match="other weights than sd2"):
        checked_book(models("sd2"), tmp_path, 16, 16)


def test_every_prompt_is_drawn_once_before_any_repeats() -> None:
    requests = settings(seeds=2).requests

    assert [(r.text[2], r.seed) for r in requests] == [("r", 0), ("g", 0), ("r", 1), ("g", 1)]


def test_pictures_do_not_depend_on_how_they_are_cut_into_batches(tiny: Model) -> None:
    schedule = all_compute(2, tiny.units.graph)
    alone, together = (
        Studio(tiny, settings(batches=(b,))).pictures("ddim", schedule, 2).astype(int)
        for b in (1, 2)
    )

    assert abs(alone - together).max() <= 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prompts": ()}, "at least one prompt"),
        ({"seeds": 0}, "one seed"),
        ({"steps": (1,)}, "at least 2 steps"),
        ({"steps": (0, 4)}, "at least 2 steps"),
    ],
)
def test_settings_that_cannot_be_calibrated_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        settings(**changes)


def test_a_missing_book_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"no plan book for 16x16.*run blockcache calibrate"):
        load_book(tmp_path, 16, 16)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1}'])
def test_a_broken_book_says_which_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "book-16x16.json").write_text(text)

    with pytest.raises(CalibrationError, match=r"book-16x16\.json cannot be read"):
        load_book(tmp_path, 16, 16)


def test_missing_costs_and_profiles_say_so(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="costs-16x16"):
        load_costs(tmp_path, 16, 16)
    with pytest.raises(CalibrationError, match=r"no profiles-16x16\.safetensors"):
        load_profiles(tmp_path, 16, 16)


def test_a_folder_that_cannot_be_made_says_so(
    tiny: Model, calibration: Calibration, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CalibrationError, match="cannot write to"):
        save(calibration, tiny, tmp_path / "file" / "folder")


def test_a_books_own_text_form_is_json(tiny: Model) -> None:
    assert json.loads(json.dumps(book_for(tiny).to_dict()))["revision"] == tiny.revision


def test_prompts_come_from_a_file_without_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("a cat\n\n  \na dog\n")

    assert prompts_from(path) == ("a cat", "a dog")


def test_enough_prompts_for_a_calibration_are_bundled() -> None:
    assert len(set(prompts_from(None))) >= 32
