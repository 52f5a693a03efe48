from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from schedules.book import Plan, Quality
from schedules.change import ChangeProfile
from schedules.rules import deepcache
from tests.builders import METRIC, a_book, a_unet_graph, costs
from workers.plots import (
    arrows,
    change_curves,
    feature_strips,
    frontier,
    heat_map,
    resolution_curves,
    text_curves,
    text_map,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def a_plan() -> Plan:
    graph = a_unet_graph()
    return Plan.of("ddim", "deepcache-3", deepcache(6, graph, 3), graph, Quality(METRIC, 0.9))


def has_drawing(figure: Figure, path: Path) -> bool:
    """Return whether the figure was written as a picture with more than background in it."""
    pixels = np.array(Image.open(write(figure, path)))
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 10


def test_the_text_map_has_a_line_a_unit_and_a_mark_a_step() -> None:
    lines = dict(line.split() for line in text_map(a_plan(), a_unet_graph()).splitlines())

    assert list(lines) == [unit.name for unit in a_unet_graph().units]
    assert lines["up.1.entry.1"] == "█░░█░░"
    assert lines["mid.resnet.0"] == "█··█··"
    assert lines["up.1.resnet.1"] == "██████"


def test_the_heat_map_names_every_unit(tmp_path: Path) -> None:
    figure = heat_map(a_plan(), a_unet_graph())
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]

    assert labels == [unit.name for unit in a_unet_graph().units]
    assert has_drawing(figure, tmp_path / "new" / "schedule.png")


def test_the_frontier_marks_the_chosen_plan(tmp_path: Path) -> None:
    book = a_book()
    figure = frontier(book, costs(), book.plans[1])
    legend = figure.axes[0].get_legend()

    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {
        "full", "uniform", "deepcache", "chosen",
    }  # fmt: skip
    assert has_drawing(figure, tmp_path / "frontier.png")


def test_change_curves_have_a_panel_a_role(tmp_path: Path) -> None:
    changes = ((0.5, 0.3, 0.2),) * len(a_unet_graph())
    profile = ChangeProfile(changes, changes, samples=2)
    figure = change_curves(profile, a_unet_graph(), "emoji, ddim, 4 steps")

    assert [axes.get_title() for axes in figure.axes] == ["resnet", "transformer"]
    assert has_drawing(figure, tmp_path / "change.png")


def a_profile() -> ChangeProfile:
    """Return changes that fall at full resolution and stay small below it."""
    graph = a_unet_graph()
    deep = graph.residual_by_halvings()[1]
    rows = tuple((0.1,) * 3 if u in deep else (0.8, 0.4, 0.2) for u in range(len(graph)))
    return ChangeProfile(rows, ((0.1,) * 3,) * len(graph), samples=2)


def test_resolution_curves_have_a_panel_a_resolution(tmp_path: Path) -> None:
    figure = resolution_curves(a_profile(), a_unet_graph(), "emoji, ddim, 4 steps")
    curves = [np.asarray(axes.lines[0].get_ydata()) for axes in figure.axes]

    assert [axes.get_title() for axes in figure.axes] == [
        "full resolution, 5 units",
        "1/2 resolution, 2 units",
    ]
    assert curves == [pytest.approx([0.8, 0.4, 0.2]), pytest.approx([0.1] * 3)]
    assert has_drawing(figure, tmp_path / "resolutions.png")


def test_the_text_curves_stand_below_the_steps_of_the_text_map() -> None:
    graph = a_unet_graph()
    full, half = text_curves(a_profile(), graph).splitlines()
    first_step = text_map(a_plan(), graph).splitlines()[0].index("█")

    assert (full[:first_step].strip(), full[first_step:]) == ("full resolution", " █▅▃")
    assert (half[:first_step].strip(), half[first_step:]) == ("1/2 resolution", " ▂▂▂")


def test_an_arrow_leads_from_every_value_that_is_reused(tmp_path: Path) -> None:
    plan, graph = a_plan(), a_unet_graph()
    figure = arrows(plan, graph)
    sources = {(reuse.unit, reuse.source) for reuse in plan.schedule.reuses(graph)}

    assert len(figure.axes[0].texts) == len(sources)
    assert has_drawing(figure, tmp_path / "arrows.png")


def test_feature_maps_have_a_row_a_unit_and_a_column_a_step(tmp_path: Path) -> None:
    maps = {name: np.random.default_rng(0).random((4, 2, 2, 3)) for name in ("a", "b")}
    figure = feature_strips(maps)

    assert [axes.get_ylabel() for axes in figure.axes[::4]] == ["a", "b"]
    assert len(figure.axes) == 8
    assert has_drawing(figure, tmp_path / "features.png")
