"""The show command: a model's plan for a budget, in the terminal and as PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from schedules.planner import Infeasible, plan
from workers.calibration_files import FOLDER, load_book, load_costs, load_profiles
from workers.errors import CalibrationError
from workers.pipeline import locate
from workers.plots import change_curves, frontier, heat_map, text_map, write

if TYPE_CHECKING:
    from pathlib import Path

    from schedules.book import Plan, PlanBook
    from schedules.cost import CostModel


def run(
    source: str,
    plans: Path | None,
    size: tuple[int, int] | None,
    budget_ms: float,
    out: Path | None,
) -> None:
    """Print the picked plan; with `out` also draw heat map, change curves and frontier."""
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
    if out is not None:
        for path in _draw(picked, book, costs, folder, out):
            console.print(str(path))


def _draw(picked: Plan, book: PlanBook, costs: CostModel, folder: Path, out: Path) -> list[Path]:
    key = (picked.solver, picked.steps)
    profile = load_profiles(folder, book.width, book.height).get(key)
    title = f"{book.model}, {picked.solver}, {picked.steps} steps"
    paths = [
        write(heat_map(picked, book.graph), out / "schedule.png"),
        write(frontier(book, costs, picked), out / "frontier.png"),
    ]
    if profile is not None:
        paths.append(write(change_curves(profile, book.graph, title), out / "change.png"))
    return paths


def _only_size(folder: Path) -> tuple[int, int]:
    names = sorted(path.stem.removeprefix("book-") for path in folder.glob("book-*x*.json"))
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise CalibrationError(f"say which size with --size; {folder} has {listed}")
    width, height = names[0].split("x")
    return int(width), int(height)
