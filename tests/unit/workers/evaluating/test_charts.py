from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.table_rows import CLOSE, a_row
from workers.evaluating import charts
from workers.evaluating.comparison import FEWER
from workers.evaluating.frontier import Point, Reached
from workers.plots import write

if TYPE_CHECKING:
    from pathlib import Path


def test_every_run_has_a_panel_and_every_group_a_curve(tmp_path: Path) -> None:
    rows = [
        a_row(solver=solver, group=group)
        for solver in ("ddim", "dpmpp_2m", "other")
        for group in ("uncached", "searched", FEWER)
    ]
    figure = charts.frontier(rows)
    titles = [axes.get_title(loc="left") for axes in figure.axes]

    assert titles == ["ddim, 20 steps", "dpmpp_2m, 20 steps", "other, 20 steps", ""]
    assert [line.get_label() for line in figure.axes[0].get_lines()[:2]] == [FEWER, "searched"]
    assert write(figure, tmp_path / "frontier.png").stat().st_size > 0


def test_colours_of_groups_differ() -> None:
    assert len(set(charts.STYLES.values())) == len(charts.STYLES)
    assert len({colour for colour, _ in charts.STYLES.values()}) == len(charts.STYLES)


def test_a_gallery_shows_each_prompt_by_each_method(tmp_path: Path) -> None:
    pictures = np.zeros((3, 8, 8, 3), np.uint8)
    bands = [
        ("ddim, 20 steps", [("uncached", pictures), ("DeepCache, N = 2", pictures)]),
        ("ddim, 50 steps", [("uncached", pictures)]),
    ]
    figure = charts.gallery(["banana", "hot air balloon"], bands)
    shown = [axes for part in figure.subfigs for axes in part.axes if axes.images]

    assert len(shown) == 2 * 2 + 2
    assert write(figure, tmp_path / "grid.png").stat().st_size > 0


def test_what_a_plan_book_buys_is_drawn_as_two_curves(tmp_path: Path) -> None:
    reached = Reached("plan", 10.0, CLOSE)
    figure = charts.bought([Point(10.0, reached, None), Point(20.0, reached, reached)])
    plan, fewer = figure.axes[0].get_lines()

    assert (np.size(plan.get_xdata()), np.size(fewer.get_xdata())) == (2, 1)
    assert write(figure, tmp_path / "bought.png").stat().st_size > 0
