"""Picture sets made by a real model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from app.contract.picture_sets import MANIFEST, Comparison, PictureSet
from app.judge.sets import read_set
from tests.tiny_books import book_for, costs_for
from workers.commands import judge_make
from workers.errors import UnknownSolver
from workers.evaluating.errors import EvaluationError
from workers.evaluating.judging import JudgeOptions, run_make

if TYPE_CHECKING:
    from pathlib import Path

    from workers.pipeline import Model

UNCACHED = "ddim-4-uncached"


@pytest.fixture
def plans(tiny: Model, tmp_path: Path) -> Path:
    """Return a folder with a small plan book and its costs."""
    folder = tmp_path / "plans"
    folder.mkdir()
    (folder / "book-16x16.json").write_text(json.dumps(book_for(tiny, 4).to_dict()))
    (folder / "costs-16x16.json").write_text(json.dumps(costs_for(tiny).to_dict()))
    return folder


def made(tiny: Model, plans: Path, **wish: Any) -> PictureSet:
    out = plans.parent / "set"
    source = str(tiny.folder)
    run_make(JudgeOptions(model=source, out=out, plans=plans, most_prompts=2, **wish))
    return read_set(out)


def test_a_set_has_every_request_by_every_method(tiny: Model, plans: Path) -> None:
    pictures = made(tiny, plans, pairs=(("ddim-4-uniform-2", UNCACHED),), seeds=2)

    assert [method.name for method in pictures.methods] == ["ddim-4-uniform-2", UNCACHED]
    assert pictures.comparisons == (Comparison(0, 1),)
    assert len(pictures.pairs) == 4
    assert len({request.seed for request in pictures.requests}) == 4
    assert all(method.median_ms > 0 for method in pictures.methods)
    assert pictures.made["revision"] == tiny.revision


def test_pictures_are_those_of_their_method(tiny: Model, plans: Path) -> None:
    # The book's uncached plan and an uncached run of the same solver and steps are the same thing.
    same, other = (UNCACHED, "ddim-4-uniform-2"), ("dpmpp_2m-4-uncached", UNCACHED)
    pictures = made(tiny, plans, pairs=(same, other))
    folder = plans.parent / "set"
    uncached, uniform, dpm = (
        np.asarray(Image.open(folder / method.files[0])) for method in pictures.methods
    )

    assert uncached.shape == (16, 16, 3)
    assert not np.array_equal(uncached, uniform)
    assert not np.array_equal(uncached, dpm)


def test_a_budget_compares_its_plan_with_a_run_that_is_as_quick(tiny: Model, plans: Path) -> None:
    units = len(tiny.units.graph)
    pictures = made(tiny, plans, budgets_ms=(4 * units * 0.01 * 0.95,))

    assert [method.name for method in pictures.methods] == [
        "ddim-4-uniform-2", "dpmpp_2m-2-uncached",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"pairs": (("nothing", UNCACHED),)}, "'nothing' is no plan"),
        ({"pairs": (("ddim-0-uncached", UNCACHED),)}, "'ddim-0-uncached' is no plan"),
        ({"budgets_ms": (0.001,)}, "the fastest needs"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tiny: Model, plans: Path, wish: dict[str, Any], why: str
) -> None:
    with pytest.raises(EvaluationError, match=why):
        made(tiny, plans, **wish)


def test_an_unknown_solver_is_refused_by_naming_those_there_are(tiny: Model, plans: Path) -> None:
    with pytest.raises(UnknownSolver, match="there are ddim"):
        made(tiny, plans, pairs=(("magic-4-uncached", UNCACHED),))


def test_a_set_is_never_written_over(tiny: Model, plans: Path) -> None:
    (plans.parent / "set").mkdir()
    (plans.parent / "set" / MANIFEST).write_text("{}")

    with pytest.raises(EvaluationError, match="choose another --out"):
        made(tiny, plans, pairs=(("ddim-4-uniform-2", UNCACHED),))


def test_the_command_wants_to_know_what_to_compare(tmp_path: Path) -> None:
    done = CliRunner().invoke(judge_make, ["--model", "emoji", "--out", str(tmp_path)])

    assert done.exit_code == 2
    assert "--pair METHOD BASELINE" in done.output
