"""The show command: a model's plan for a budget, in the terminal and as PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from schedules.planner import Infeasible, plan
from schedules.rules import all_compute
from schedules.units import Role
from workers.calibration_files import FOLDER, load_book, load_costs, load_profiles
from workers.errors import CalibrationError
from workers.feature_maps import feature_maps
from workers.pipeline import load, locate
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
from workers.sampler import Frame, Prompt

if TYPE_CHECKING:
    from pathlib import Path

    from schedules.book import Plan, PlanBook
    from schedules.change import ChangeProfile
    from schedules.cost import CostModel

STEERED = "a run behind its promised end computes less in some steps, one ahead of it more"


def run(
    source: str,
    plans: Path | None,
    size: tuple[int, int] | None,
    budget_ms: float,
    out: Path | None,
    prompt: str | None = None,
) -> None:
    """Print the picked plan and how units change; with `out` also draw both and the frontier.

    With a prompt too, the model makes its picture and the feature maps of two units are drawn.
    """
    folder = plans or locate(source) / FOLDER
    width, height = size or _only_size(folder)
    book, costs = load_book(folder, width, height), load_costs(folder, width, height)
    chosen = plan(budget_ms, 0.0, book, costs)
    if isinstance(chosen, Infeasible):
        raise CalibrationError(
            f"no plan fits into {budget_ms:g} ms; the fastest needs {chosen.minimum_ms:.0f} ms"
        )
    picked, console = chosen.picked.plan, Console()
    console.print(
        f"[bold]{picked.name}[/]  {chosen.picked.predicted_ms:.0f} ms, "
        f"quality {picked.quality.value:.4f}, {picked.counts.hit_ratio:.0%} of units not computed"
    )
    console.print(Text(text_map(picked, book.graph)))
    console.print(f"as planned: {STEERED}")
    profile = _profile(folder, book, picked)
    if profile is not None:
        console.print("\nhow much units change from step to step, by their resolution")
        console.print(Text(text_curves(profile, book.graph)))
    if out is not None:
        for path in _draw(picked, book, costs, profile, out):
            console.print(str(path))
        if prompt is not None:
            console.print(str(_draw_features(source, prompt, picked, book, out)))


def _profile(folder: Path, book: PlanBook, picked: Plan) -> ChangeProfile | None:
    """Return how units change under a plan; a folder may hold plans and costs alone."""
    try:
        known = load_profiles(folder, book.width, book.height)
    except CalibrationError:
        return None
    return known.get((picked.solver, picked.steps))


def _draw(
    picked: Plan, book: PlanBook, costs: CostModel, profile: ChangeProfile | None, out: Path
) -> list[Path]:
    title = f"{book.model}, {picked.solver}, {picked.steps} steps"
    paths = [
        write(heat_map(picked, book.graph), out / "schedule.png"),
        write(arrows(picked, book.graph), out / "arrows.png"),
        write(frontier(book, costs, picked), out / "frontier.png"),
    ]
    if profile is not None:
        paths.append(write(change_curves(profile, book.graph, title), out / "change.png"))
        curves = resolution_curves(profile, book.graph, title)
        paths.append(write(curves, out / "resolutions.png"))
    return paths


def _draw_features(source: str, prompt: str, picked: Plan, book: PlanBook, out: Path) -> Path:
    """Draw the deepest and the last transformer while the model runs uncached."""
    model, graph = load(source), book.graph
    schedule = all_compute(picked.steps, graph)
    guidance_scale = float(book.made.get("guidance_scale", 7.5))
    frame = Frame(book.width, book.height, guidance_scale, picked.solver, schedule)
    transformers = [graph.units[u].name for u in graph.with_role(Role.TRANSFORMER)]
    deepest = [name for name in transformers if name.startswith("mid.")] or transformers
    units = dict.fromkeys((deepest[0], transformers[-1]))
    maps = feature_maps(model, Prompt(prompt, None, 0), frame, tuple(units))
    return write(feature_strips(maps), out / "features.png")


def _only_size(folder: Path) -> tuple[int, int]:
    names = sorted(path.stem.removeprefix("book-") for path in folder.glob("book-*x*.json"))
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise CalibrationError(f"say which size with --size; {folder} has {listed}")
    width, height = names[0].split("x")
    return int(width), int(height)
