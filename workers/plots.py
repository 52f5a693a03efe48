"""Plots of a calibrated model: schedule heat map, change curves, frontier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from schedules.schedule import Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from schedules.book import Plan, PlanBook
    from schedules.change import ChangeProfile
    from schedules.cost import CostModel
    from schedules.units import UnitGraph

WORK_COLOURS = {Work.SKIPPED: "#e8e6e1", Work.REUSED: "#9cc3d5", Work.COMPUTED: "#1b4965"}
MARKS = {Work.SKIPPED: "·", Work.REUSED: "░", Work.COMPUTED: "█"}
ACCENT = "#d1495b"
BARS = "▁▂▃▄▅▆▇█"


def heat_map(plan: Plan, graph: UnitGraph) -> Figure:
    """Draw which unit computes, reuses or is skipped at every step."""
    figure, axes = _figure(1.5 + 0.22 * plan.steps + 2.2, 1.2 + 0.19 * len(graph))
    table = np.array(plan.schedule.work(graph)).T
    colours = ListedColormap([WORK_COLOURS[work] for work in Work])
    axes.pcolormesh(table, cmap=colours, vmin=0, vmax=2, edgecolors="white", linewidth=0.8)
    axes.set_yticks(np.arange(len(graph)) + 0.5, [unit.name for unit in graph.units], fontsize=7)
    axes.set_xticks(np.arange(0, plan.steps, 5) + 0.5, [str(s) for s in range(0, plan.steps, 5)])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_xlabel("step, as planned: a run may be steered from it to keep its promise")
    axes.set_title(plan.name, loc="left")
    handles = [Patch(color=WORK_COLOURS[work], label=work.name.lower()) for work in Work]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(1.01, 0), frameon=False)
    return figure


def arrows(plan: Plan, graph: UnitGraph) -> Figure:
    """Draw an arrow from every computed value to the last step in a row that reuses it."""
    figure, axes = _figure(1.5 + 0.22 * plan.steps + 1.2, 1.2 + 0.19 * len(graph))
    for u, column in enumerate(zip(*plan.schedule.work(graph), strict=True)):
        computed = [s for s, work in enumerate(column) if work is Work.COMPUTED]
        axes.plot(computed, [u] * len(computed), "o", ms=3, color=WORK_COLOURS[Work.COMPUTED])
    last = {(reuse.unit, reuse.source): reuse.step for reuse in plan.schedule.reuses(graph)}
    style = {"arrowstyle": "->", "color": ACCENT, "lw": 0.9, "shrinkA": 2, "shrinkB": 0}
    for (u, source), step in last.items():
        axes.annotate("", xy=(step + 0.25, u), xytext=(source, u), arrowprops=style)
    axes.set_yticks(range(len(graph)), [unit.name for unit in graph.units], fontsize=7)
    axes.set(xlim=(-0.7, plan.steps), ylim=(len(graph) - 0.4, -0.6), xlabel="step")
    axes.tick_params(length=0)
    axes.set_title(plan.name, loc="left")
    return figure


def feature_strips(maps: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw feature maps, steps × h × w × 3 for each unit, one row a unit and one column a step."""
    steps = max(len(of_unit) for of_unit in maps.values())
    figure = Figure(figsize=(1.0 + 0.8 * steps, 0.6 + 0.9 * len(maps)), layout="constrained")
    rows = figure.subplots(len(maps), steps, squeeze=False)
    for row, (name, of_unit) in zip(rows, maps.items(), strict=True):
        row[0].set_ylabel(name, fontsize=7)
        for step, (axes, colours) in enumerate(zip(row, of_unit, strict=True)):
            axes.imshow(colours, interpolation="nearest")
            axes.set(xticks=(), yticks=())
            axes.set_title(str(step), fontsize=7)
    return figure


def text_map(plan: Plan, graph: UnitGraph) -> str:
    """Draw the heat map in characters: █ computed, ░ reused, · skipped."""
    width = max(len(unit.name) for unit in graph.units)
    rows = zip(graph.units, zip(*plan.schedule.work(graph), strict=True), strict=True)
    lines = [f"{u.name:>{width}} {''.join(MARKS[work] for work in row)}" for u, row in rows]
    return "\n".join(lines)


def change_curves(profile: ChangeProfile, graph: UnitGraph, title: str) -> Figure:
    """Draw each unit's change from step to step, one panel a role, deviation shaded."""
    roles = list(dict.fromkeys(u.role for u in graph.units if u.is_residual))
    figure = Figure(figsize=(4.6 * len(roles), 3.4), layout="constrained")
    steps = np.arange(1, profile.steps)
    for axes, role in zip(figure.subplots(1, len(roles), squeeze=False)[0], roles, strict=True):
        members = graph.with_role(role)
        for k, u in enumerate(members):
            mean, std = np.array(profile.mean[u]), np.array(profile.std[u])
            colour = mpl.colormaps["viridis"](k / max(len(members) - 1, 1))
            axes.plot(steps, mean, color=colour, linewidth=1.3, label=graph.units[u].name)
            axes.fill_between(steps, mean - std, mean + std, color=colour, alpha=0.12, lw=0)
        axes.set(title=role.value, xlabel="step", ylabel="relative change", ylim=(0, None))
        axes.legend(fontsize=6, frameon=False, ncols=2)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def resolution_curves(profile: ChangeProfile, graph: UnitGraph, title: str) -> Figure:
    """Draw the mean change of the units of each resolution, one panel each, deviation shaded."""
    groups = graph.residual_by_halvings()
    figure = Figure(figsize=(3.4 * len(groups), 3.2), layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    steps = np.arange(1, profile.steps)
    for axes, (halvings, units) in zip(panels, groups.items(), strict=True):
        moments = profile.over(units)
        mean, std = (np.array([getattr(m, name) for m in moments]) for name in ("mean", "std"))
        axes.plot(steps, mean, color=WORK_COLOURS[Work.COMPUTED], linewidth=1.6)
        colour = WORK_COLOURS[Work.REUSED]
        axes.fill_between(steps, np.maximum(mean - std, 0), mean + std, color=colour, alpha=0.45)
        axes.set(title=f"{_resolution(halvings)}, {len(units)} units", xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set(ylabel="relative change", ylim=(0, None))
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def text_curves(profile: ChangeProfile, graph: UnitGraph) -> str:
    """Draw the mean change of each resolution in characters, below the map of the same plan."""
    groups = graph.residual_by_halvings()
    means = {depth: [m.mean for m in profile.over(units)] for depth, units in groups.items()}
    top = max(max(row) for row in means.values()) or 1.0
    width = max(len(unit.name) for unit in graph.units)
    # Nothing comes before the first step, so its column stays empty.
    lines = [f"{_resolution(d):>{width}}  {_sparkline(row, top)}" for d, row in means.items()]
    return "\n".join(lines)


def _sparkline(values: Sequence[float], top: float) -> str:
    last = len(BARS) - 1
    return "".join(BARS[min(int(value / top * len(BARS)), last)] for value in values)


def _resolution(halvings: int) -> str:
    return f"1/{2**halvings} resolution" if halvings else "full resolution"


def frontier(book: PlanBook, costs: CostModel, chosen: Plan | None = None) -> Figure:
    """Draw quality against predicted time for every plan; the planner walks along the line."""
    figure, axes = _figure(7.2, 4.2)
    best = book.frontier(costs)
    for label, plans in _by_kind(book).items():
        points = [(_ms(plan, costs), plan.quality.value) for plan in plans]
        axes.scatter(*zip(*points, strict=True), s=18, label=label, alpha=0.75, linewidth=0)
    line = [(_ms(plan, costs), plan.quality.value) for plan in best]
    axes.step(*zip(*line, strict=True), where="post", color="#333333", linewidth=1)
    if chosen is not None:
        spot = (_ms(chosen, costs), chosen.quality.value)
        axes.scatter(*spot, s=110, facecolor="none", edgecolor=ACCENT, linewidth=2, label="chosen")
    axes.set(xlabel="predicted ms", ylabel=book.metric, xscale="log")
    axes.set_title(f"{book.model}, {book.width}×{book.height}", loc="left")
    axes.legend(frameon=False)
    return figure


def _ms(plan: Plan, costs: CostModel) -> float:
    return costs.total_ms(plan.steps, plan.unit_runs)


def _by_kind(book: PlanBook) -> dict[str, list[Plan]]:
    kinds: dict[str, list[Plan]] = {}
    for plan in book.plans:
        kinds.setdefault(plan.rule.split("-")[0], []).append(plan)
    return kinds


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def write(figure: Figure, path: Path) -> Path:
    """Save a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path
