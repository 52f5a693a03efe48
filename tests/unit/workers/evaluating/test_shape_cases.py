from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workers.errors import ModelError
from workers.evaluating.errors import EvaluationError
from workers.evaluating.shape_cases import Allowance, Case, ShapesOptions


def asked(**changes: Any) -> ShapesOptions:
    return ShapesOptions(out=Path("out"), **changes)


def test_few_steps_of_single_pictures_come_first() -> None:
    cases = asked(steps=(50, 20)).cases

    assert cases[:4] == (
        Case("sd15", 20, 1), Case("sdxl", 20, 1), Case("sd15", 20, 4), Case("sdxl", 20, 4),
    )  # fmt: skip
    assert {case.steps for case in cases[4:]} == {50}


@pytest.mark.parametrize(("steps", "rounds"), [(20, 3), (30, 2), (50, 1), (100, 1)])
def test_more_steps_are_measured_less_often_but_once(steps: int, rounds: int) -> None:
    assert asked(steps=(20, steps), repeats=3).rounds(Case("sd15", steps, 1)) == rounds


def test_an_unknown_shape_is_refused_by_naming_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no shape is called 'cube'; there are sd15, sdxl, emu"):
        asked(shapes=("sd15", "cube")).require()


@pytest.mark.parametrize("wish", [{"steps": (0,)}, {"batches": (-1,)}, {"shapes": ()}])
def test_what_leaves_nothing_to_measure_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError, match="of 1 or more"):
        asked(**wish).require()


def test_an_allowance_holds_what_ends_in_time() -> None:
    now_s = 100.0
    allowance = Allowance(10.0, lambda: now_s)

    assert allowance.holds(9.0)
    assert not allowance.holds(11.0)
    now_s = 111.0
    assert not allowance.holds()


def test_without_a_limit_everything_is_in_time() -> None:
    assert Allowance(None).holds(1e9)
