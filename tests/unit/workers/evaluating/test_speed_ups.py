from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests.rendering import is_untouched
from workers.evaluating.printing import table
from workers.evaluating.speed_ups import Round, SpeedUp, added_share, speed_ups, verdicts

if TYPE_CHECKING:
    from workers.pipeline import Model


def test_each_fraction_is_measured_beside_the_uncached_run(tiny: Model) -> None:
    told: list[tuple[str, int, int]] = []
    found = speed_ups(
        tiny, 16, 4, (0.5, 1.0), repeats=2, progress=lambda *progress: told.append(progress)
    )

    half, whole = found
    assert half.compute_fraction < whole.compute_fraction == pytest.approx(1.0)
    assert half.ideal > whole.ideal == pytest.approx(1.0)
    assert told[-1] == ("fraction 1", 2, 2)


def test_every_family_can_be_measured(model: Model) -> None:
    (found,) = speed_ups(model, model.native_size, 2, (0.5,), repeats=1)

    assert found.measured > 0
    assert found.lowest == found.highest == pytest.approx(found.efficiency)
    assert is_untouched(model.pipe.unet)


def test_efficiency_is_measured_over_ideal() -> None:
    found = SpeedUp(compute_fraction=0.5, ideal=2.0, measured=1.8, lowest=0.8, highest=1.0)

    assert found.efficiency == 0.9
    assert found.to_dict()["efficiency"] == 0.9


def test_the_cost_of_corrections_is_measured_where_something_is_reused(tiny: Model) -> None:
    half, whole = speed_ups(tiny, 16, 4, (0.5, 1.0), repeats=1)

    assert half.correction_share != 0
    assert whole.correction_share == 0


def test_a_disturbed_step_does_not_count_as_the_cost_of_corrections() -> None:
    uncached, cached, corrected = (10.0, 10.0, 10.0), (10.0, 4.0, 4.0), (10.0, 4.1, 4.3)
    quiet = Round(uncached, cached, corrected)
    disturbed = Round(uncached, (30.0, 4.0, 4.0), (10.0, 4.1, 9.0))

    share = added_share([quiet, disturbed, quiet], reusing=[1, 2])

    assert share == pytest.approx((0.1 + 0.3) / 10 / 2)


def test_corrections_cost_nothing_where_nothing_is_reused_but_in_preparing() -> None:
    strayed = Round((10.0, 10.0, 10.0), (10.0, 10.0, 4.0), (10.2, 13.0, 4.1))

    assert added_share([strayed], reusing=[2]) == pytest.approx((0.2 + 0.1) / 10)


def test_a_machine_that_slows_down_does_not_count_as_the_cost_of_corrections() -> None:
    fast, slow = Round((10.0,), (4.0,), (4.1,)), Round((20.0,), (8.0,), (8.2,))

    assert added_share([fast, fast, slow], reusing=[0]) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("efficiency", "share", "kept"),
    [(0.95, 0.02, [True, True]), (0.94, 0.03, [False, False])],
)
def test_speed_ups_are_judged(efficiency: float, share: float, kept: list[bool]) -> None:
    found = SpeedUp(0.5, 2.0, 2.0 * efficiency, 0.9, 1.0, share)

    assert [verdict.kept for verdict in verdicts("emoji", [found], 0.95)] == kept


def test_the_table_shows_every_fraction() -> None:
    found = [SpeedUp(share, 1 / share, 1 / share, 1.0, 1.0) for share in (0.75, 0.5)]
    page = StringIO()
    Console(file=page, width=100).print(table("emoji", 20, found))

    assert "emoji, 20 steps" in page.getvalue()
    assert "0.75" in page.getvalue()
    assert "2.00×" in page.getvalue()
