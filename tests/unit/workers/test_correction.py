from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from schedules.rules import EVERY_LAYER, all_compute, deepcache, uniform
from tests.corrections import a_correction, no_correction
from tests.rendering import a_frame, is_untouched, latents_of, some_prompts
from tests.tiny_books import book_for
from workers.cached_unet import cached
from workers.calibration_files import load_corrections, save_correction
from workers.correction import TERMS, Correction
from workers.errors import CalibrationError
from workers.fixes import prepared
from workers.units import find_units

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from schedules.book import PlanBook
    from workers.pipeline import Model
    from workers.sampler import Frame


@pytest.fixture
def frame(tiny: Model) -> Frame:
    return a_frame(tiny, uniform(4, tiny.units.graph, 2))


@pytest.mark.parametrize("kind", TERMS)
@pytest.mark.parametrize("rule", ["uniform", "deepcache"])
def test_zeros_change_nothing(model: Model, rule: str, kind: str) -> None:
    graph = model.units.graph
    tables = {"uniform": uniform(5, graph, 2, EVERY_LAYER), "deepcache": deepcache(5, graph, 2)}
    frame = a_frame(model, tables[rule])
    plain, counts = latents_of(model, frame, some_prompts())
    zeros = replace(frame, correction=no_correction(model, frame, kind))
    corrected, corrected_counts = latents_of(model, zeros, some_prompts())

    assert torch.equal(corrected, plain)
    assert corrected_counts == counts


def test_there_are_terms_for_every_reuse_and_no_others(model: Model) -> None:
    frame = a_frame(model, deepcache(5, model.units.graph, 2))
    correction = a_correction(model, frame, "two-tap")

    (table,) = correction.terms.values()
    assert table.shape[:2] == (3, 2)


def test_a_correction_changes_pictures(tiny: Model, frame: Frame) -> None:
    plain, _ = latents_of(tiny, frame, some_prompts())
    changed = replace(frame, correction=a_correction(tiny, frame))
    corrected, _ = latents_of(tiny, changed, some_prompts())

    assert not torch.allclose(corrected, plain)


def test_a_correction_of_an_uncached_run_is_empty(tiny: Model, tmp_path: Path) -> None:
    frame = a_frame(tiny, all_compute(3, tiny.units.graph))
    correction = a_correction(tiny, frame)
    correction.save(tmp_path / "none")

    assert not correction.terms
    assert Correction.load(tmp_path / "none") == correction
    latents_of(tiny, replace(frame, correction=correction), some_prompts())


@pytest.mark.parametrize("kind", TERMS)
def test_what_is_saved_is_what_is_loaded(
    tiny: Model, frame: Frame, tmp_path: Path, kind: str
) -> None:
    correction = a_correction(tiny, frame, kind)
    correction.save(tmp_path / "one.safetensors")
    loaded = Correction.load(tmp_path / "one.safetensors")

    assert loaded == correction
    assert loaded.terms.keys() == correction.terms.keys()
    assert all(torch.equal(loaded.terms[name], table) for name, table in correction.terms.items())


def test_a_converted_correction_is_saved_as_itself(
    tiny: Model, frame: Frame, tmp_path: Path
) -> None:
    correction = a_correction(tiny, frame)
    converted = correction.to(tiny.device, torch.float32)
    converted.save(tmp_path / "one.safetensors")

    assert {table.dtype for table in converted.terms.values()} == {torch.float32}
    assert Correction.load(tmp_path / "one.safetensors") == converted == correction


def test_what_already_lies_where_it_should_stays_itself(tiny: Model, frame: Frame) -> None:
    correction = a_correction(tiny, frame).to(tiny.device, tiny.dtype)

    assert correction.to(tiny.device, tiny.dtype) is correction
    assert correction.to(tiny.device, torch.float64) is not correction


def test_fixes_are_made_once_for_all_runs_of_a_schedule_on_a_unet(
    tiny: Model, frame: Frame
) -> None:
    correction = a_correction(tiny, frame)
    first = prepared(correction, frame.schedule, tiny.units)

    assert prepared(correction, frame.schedule, tiny.units) is first
    assert prepared(correction, frame.schedule, find_units(tiny.pipe.unet)) is not first
    with pytest.raises(CalibrationError, match="another schedule"):
        prepared(correction, all_compute(frame.schedule.steps, tiny.units.graph), tiny.units)


def test_other_terms_have_another_id(tiny: Model, frame: Frame) -> None:
    ids = {
        no_correction(tiny, frame).id,
        no_correction(tiny, frame, "trained").id,
        a_correction(tiny, frame).id,
        no_correction(tiny, replace(frame, solver="dpmpp_2m")).id,
    }

    assert len(ids) == 4


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"there is no correction .*gone"):
        Correction.load(tmp_path / "gone")


def garbage(path: Path) -> None:
    path.write_bytes(b"no tensors")


def without_origin(path: Path) -> None:
    save_file({"x": torch.zeros(1)}, path)


def of_another_form(path: Path) -> None:
    save_file({"x": torch.zeros(1)}, path, metadata={"origin": json.dumps({"solver": "ddim"})})


@pytest.mark.parametrize("write", [garbage, without_origin, of_another_form])
def test_a_file_that_is_no_correction_is_named(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "wrong")

    with pytest.raises(CalibrationError, match="wrong is not a correction"):
        Correction.load(tmp_path / "wrong")


def test_a_kind_this_version_does_not_know_is_refused(
    tiny: Model, frame: Frame, tmp_path: Path
) -> None:
    correction = a_correction(tiny, frame)
    replace(correction, origin=replace(correction.origin, kind="cubic")).save(tmp_path / "new")

    with pytest.raises(CalibrationError, match="of the kind 'cubic'"):
        Correction.load(tmp_path / "new")


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_terms_that_half_precision_cannot_hold_are_refused(
    tiny: Model, frame: Frame, value: float
) -> None:
    plain = no_correction(tiny, frame)

    with pytest.raises(CalibrationError, match="half precision"):
        Correction.of(plain.origin, {k: v.float() + value for k, v in plain.terms.items()})


def test_a_correction_is_for_one_solver_and_one_model(
    tiny: Model, frame: Frame, models: Callable[[str], Model]
) -> None:
    correction = a_correction(tiny, frame)
    other_solver = replace(frame, solver="dpmpp_2m", correction=correction)
    sd2 = models("sd2")
    other_model = replace(a_frame(sd2, uniform(4, sd2.units.graph, 2)), correction=correction)

    for model, wrong in ((tiny, other_solver), (sd2, other_model)):
        with pytest.raises(CalibrationError, match=f"correction {correction.id} is for"):
            latents_of(model, wrong, some_prompts())
        assert is_untouched(model.pipe.unet)


def test_a_correction_is_for_one_schedule(tiny: Model, frame: Frame) -> None:
    correction = a_correction(tiny, frame)

    with (
        pytest.raises(CalibrationError, match="another schedule or UNet"),
        cached(tiny.units, uniform(4, tiny.units.graph, 3), correction),
    ):
        pass
    assert is_untouched(tiny.pipe.unet)


def book_naming(model: Model, position: int, correction: Correction) -> PlanBook:
    """Return the tiny book with a plan that names a correction."""
    book = book_for(model)
    plans = list(book.plans)
    plans[position] = replace(plans[position], correction=correction.id)
    return book.with_plans(plans)


def test_corrections_lie_beside_the_book(tiny: Model, frame: Frame, tmp_path: Path) -> None:
    correction = a_correction(tiny, frame)
    save_correction(correction, tmp_path)
    (path,) = tmp_path.rglob("*.*")

    assert path == tmp_path / "corrections" / f"{correction.id}.safetensors"
    assert load_corrections(tmp_path, book_for(tiny)) == {}
    assert load_corrections(tmp_path, book_naming(tiny, 1, correction)) == {
        correction.id: correction
    }


def test_a_correction_of_another_plan_is_refused(tiny: Model, frame: Frame, tmp_path: Path) -> None:
    correction = a_correction(tiny, frame)
    save_correction(correction, tmp_path)

    with pytest.raises(CalibrationError, match="not the one that ddim-2-deepcache-2-corrected was"):
        load_corrections(tmp_path, book_naming(tiny, 2, correction))


def test_a_correction_that_was_changed_is_refused(
    tiny: Model, frame: Frame, tmp_path: Path
) -> None:
    correction = a_correction(tiny, frame)
    save_correction(replace(no_correction(tiny, frame), id=correction.id), tmp_path)

    with pytest.raises(CalibrationError, match=f"correction {correction.id} is not the one"):
        load_corrections(tmp_path, book_naming(tiny, 1, correction))


def test_a_folder_that_cannot_be_made_says_so(tiny: Model, frame: Frame, tmp_path: Path) -> None:
    (tmp_path / "corrections").write_text("")

    with pytest.raises(CalibrationError, match="cannot write to"):
        save_correction(a_correction(tiny, frame), tmp_path)
