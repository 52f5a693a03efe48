"""Charts of a comparison: time against distance, and the pictures themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from workers.evaluating.comparison import FEWER, UNCACHED
from workers.evaluating.tables import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from workers.evaluating.frontier import Point
    from workers.evaluating.tables import Row

# Okabe and Ito's colours, which colour-blind readers tell apart, with a mark for each.
STYLES = {
    FEWER: ("#000000", "o"),
    "searched": ("#D55E00", "*"),
    "two taps": ("#E69F00", "h"),
    "paper": ("#0072B2", "s"),
    "DeepCache": ("#009E73", "^"),
    "whole blocks": ("#56B4E9", "D"),
    "whole steps": ("#CC79A7", "v"),
    "PAB": ("#F0E442", "P"),
    "T-GATE": ("#999999", "X"),
}
SIDES = {"psnr_db": "PSNR to the reference, dB", "distance": "perceptual distance to the reference"}


def frontier(rows: Sequence[Row]) -> Figure:
    """Draw time against perceptual distance to the uncached run, one panel a run of its own."""
    panels = runs(rows)
    columns = min(len(panels), 2)
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(5.6 * columns, 4.0 * lines + 0.7), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flat
    for axes, (title, members) in zip(grid, panels, strict=False):
        _panel(axes, title, members)
    for axes in list(grid)[len(panels) :]:
        axes.set_axis_off()
    handles = {h.get_label(): h for axes in figure.axes for h in axes.get_lines()}
    named = {name: handles[name] for name in STYLES if name in handles}
    figure.legend(
        named.values(), named.keys(), loc="outside lower center", ncols=min(len(named), 5),
        frameon=False, fontsize=8,
    )  # fmt: skip
    return figure


def _panel(axes: Any, title: str, rows: Sequence[Row]) -> None:
    for group, (colour, mark) in STYLES.items():
        members = sorted((r for r in rows if r.group == group), key=lambda row: row.ms)
        points = [(row.ms, row.to_uncached.distance) for row in members]
        if points:
            line = "--" if group == FEWER else "-"
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, line, color=colour, marker=mark, label=group, lw=1.2, markersize=6)
    whole = next(row.ms for row in rows if row.group == UNCACHED)
    axes.axvline(whole, color="#bbbbbb", lw=1)
    axes.set(xlabel="ms a picture, denoising", ylabel="perceptual distance to uncached")
    axes.set_yscale("log")
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def bought(points: Sequence[Point]) -> Figure:
    """Draw what a plan book reaches at every time, beside uncached runs of fewer steps."""
    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    sides = figure.subplots(1, 2)
    for axes, (name, label) in zip(sides, SIDES.items(), strict=True):
        curves = {"plan book": "#D55E00", FEWER: "#000000"}
        for (title, colour), taken in zip(curves.items(), ("plan", "fewer"), strict=True):
            reached = [(p.ms, getattr(p, taken)) for p in points if getattr(p, taken)]
            xs, ys = [ms for ms, _ in reached], [getattr(r.scores, name) for _, r in reached]
            axes.plot(xs, ys, color=colour, marker="o", markersize=4, label=title)
        axes.set(xlabel="ms a picture, denoising", ylabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    sides[1].set_yscale("log")
    sides[0].legend(frameon=False)
    return figure


def gallery(
    prompts: Sequence[str], bands: Sequence[tuple[str, Sequence[tuple[str, NDArray[np.uint8]]]]]
) -> Figure:
    """Draw the first pictures of every method, a row a prompt, a column a method.

    A band is the title of a run and its methods, each with one picture for every prompt or more.
    """
    widest = max(len(methods) for _, methods in bands)
    lines = len(prompts) * len(bands)
    figure = Figure(figsize=(1.05 * widest + 0.6, 1.05 * lines + 0.9 * len(bands)))
    figure.set_layout_engine("constrained")
    parts = figure.subfigures(len(bands), 1, squeeze=False)[:, 0]
    for part, (title, methods) in zip(parts, bands, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=9, weight="bold")
        grid = part.subplots(len(prompts), widest, squeeze=False)
        _band(grid, prompts, methods)
    return figure


def _band(
    grid: Any, prompts: Sequence[str], methods: Sequence[tuple[str, NDArray[np.uint8]]]
) -> None:
    for axes in grid.flat:
        axes.set_axis_off()
    for column, (name, pictures) in enumerate(methods):
        grid[0, column].set_title(name.replace(", ", "\n"), fontsize=6)
        for line in range(len(prompts)):
            grid[line, column].imshow(pictures[line], interpolation="nearest")
    for line, prompt in enumerate(prompts):
        grid[line, 0].text(
            -0.06, 0.5, prompt.replace(" ", "\n"), fontsize=6, rotation=0, ha="right", va="center",
            transform=grid[line, 0].transAxes,
        )  # fmt: skip
