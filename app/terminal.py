"""What the commands print: results, plans and load reports, in the terminal."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAN_COLUMNS = ("", "plan", "quality", "computed", "predicted ms", "p95 ms")
# Without a terminal rich assumes 80 columns, which would cut tables in pipes and logs.
PLAIN_WIDTH = 120


def console() -> Console:
    """Return a console on stdout that does not cut lines short in a pipe."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=PLAIN_WIDTH)


def write_pictures(made: Mapping[str, Any], output: Path) -> list[Path]:
    """Write the pictures of an answer, numbered when there are several; return the files."""
    images = made["images"]
    paths = [_numbered(output, n) if len(images) > 1 else output for n in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(base64.b64decode(image["b64_json"]))
    return paths


def show_made(made: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """Print what was made, by which plan, and in what time."""
    plan, timing, budget, cache = made["plan"], made["timing"], made["budget"], made["cache"]
    seeds = ", ".join(str(image["seed"]) for image in made["images"])
    kept = "kept" if budget["met"] else "missed"
    changed = ", replanned at start" if plan["replanned"] else ""
    steered = f"{plan['hurried_steps']} computed less, {plan['extended_steps']} more than planned"
    quality = f"{plan['quality']['metric']} {plan['quality']['value']:.4g}"
    grid = _grid()
    grid.add_row("written", ", ".join(str(path) for path in paths))
    grid.add_row("seed", seeds)
    grid.add_row("plan", f"{plan_name(plan)} ({quality}{changed})")
    grid.add_row("steps", f"{plan['steps']}, of which {steered}")
    grid.add_row("computed", f"{plan['compute_fraction']:.0%}, cache hits {cache['hit_ratio']:.0%}")
    grid.add_row("budget", f"{budget['requested_ms']:.0f} ms, {kept}")
    stages = ("queue", "encode", "denoise", "decode", "png", "total")
    grid.add_row("ms", ", ".join(f"{name} {timing[name + '_ms']:.1f}" for name in stages))
    console().print(grid)


def show_plan(answer: Mapping[str, Any]) -> None:
    """Print the plan that would be picked, its runners-up and the next better one."""
    size = f"{answer['width']}x{answer['height']}"
    waits = (
        f"quality: {answer['picked']['quality']['metric']}; "
        f"expected wait {answer['expected_wait_ms']:.0f} ms, "
        f"smallest budget {answer['minimum_latency_ms']:.0f} ms"
    )
    budget = f"{answer['latency_budget_ms']:.0f} ms"
    table = Table(*PLAN_COLUMNS, title=f"{answer['model']} {size}, {budget}", caption=waits)
    table.add_row(*_plan_row("picked", answer["picked"]), style="bold green")
    for other in answer["runners_up"]:
        table.add_row(*_plan_row("", other))
    if answer["next_better"]:
        table.add_row(*_plan_row("with more", answer["next_better"]), style="dim")
    console().print(table)


def show_bench(report: Mapping[str, Any], path: Path | None = None) -> None:
    """Print a load report, and write it as JSON where a path is given."""
    grid = _grid()
    for name, value in report.items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        grid.add_row(name.replace("_", " "), shown)
    console().print(grid)
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def show_rates(report: Mapping[str, Any], path: Path | None = None) -> None:
    """Print what became of each rate of an open load; write it as JSON where a path is given."""
    table = Table("rate", "sent", "accepted", "in time", "quality", "2nd half", "in time", "batch")
    for rate, found in report["rates"].items():
        later = found["second_half"]
        shares = (found["accepted"], found["in_time_of_accepted"])
        halves = (later["accepted"], later["in_time_of_accepted"])
        quality, batch = (_shown(found[name], ".3f") for name in ("quality_mean", "batch_mean"))
        first, second = ([_shown(share, ".1%") for share in pair] for pair in (shares, halves))
        table.add_row(rate, str(found["requests"]), *first, quality, *second, batch)
    console().print(table)
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _shown(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def plan_name(plan: Mapping[str, Any]) -> str:
    """Return a plan's name as logs and metrics write it."""
    return f"{plan['solver']}-{plan['steps']}-{plan['schedule']}"


def _plan_row(mark: str, plan: Mapping[str, Any]) -> tuple[str, ...]:
    quality = f"{plan['quality']['value']:.4g}"
    share = f"{plan['compute_fraction']:.0%}"
    times = (f"{plan['predicted_ms']:.1f}", f"{plan['p95_ms']:.1f}")
    return mark, plan["name"], quality, share, *times


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    return grid


def _numbered(path: Path, number: int) -> Path:
    return path.with_stem(f"{path.stem}-{number}")
