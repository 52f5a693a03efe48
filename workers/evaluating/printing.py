"""Print speed-ups beside what unit costs promise, and write them as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from workers.calibrating import Bars, bars
from workers.calibration_files import provenance
from workers.evaluating.speed_ups import (
    LEAST_EFFICIENCY,
    LEAST_EFFICIENCY_OF_SHAPES,
    SpeedUp,
    speed_ups,
    verdicts,
)
from workers.evaluating.verdicts import WORDS
from workers.pipeline import load
from workers.shapes import random_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def run(
    source: str | None,
    shape: str | None,
    size: int | None,
    steps: int,
    repeats: int,
    json_path: Path | None,
) -> None:
    """Measure speed-ups of a model or of a bare shape and print them."""
    model = load(source) if source else random_model(shape or "")
    with bars(Console(stderr=True)) as progress:
        found = speed_ups(
            model, size or model.native_size, steps, repeats=repeats, progress=Bars(progress)
        )
    least = LEAST_EFFICIENCY if source else LEAST_EFFICIENCY_OF_SHAPES
    judged, console = verdicts(model.name, found, least), Console()
    console.print(table(model.name, steps, found))
    for verdict in judged:
        console.print(f"{WORDS[verdict.kept]}: {verdict.about}: {verdict.asked}", highlight=False)
    if json_path is not None:
        data = {
            "made": provenance(model),
            "steps": steps,
            "speed_ups": [s.to_dict() for s in found],
            "verdicts": [verdict.to_dict() for verdict in judged],
        }
        json_path.write_text(json.dumps(data, indent=1) + "\n")


def table(name: str, steps: int, found: Sequence[SpeedUp]) -> Table:
    """Lay speed-ups out as a table."""
    sheet = Table(title=f"{name}, {steps} steps, denoising only")
    for heading in (
        "compute fraction",
        "ideal",
        "measured",
        "measured ÷ ideal",
        "spread",
        "correction",
    ):
        sheet.add_column(heading, justify="right")
    for s in found:
        spread = f"{s.lowest:.2f} – {s.highest:.2f}"
        cells = (f"{s.compute_fraction:.2f}", f"{s.ideal:.2f}×", f"{s.measured:.2f}×")
        sheet.add_row(*cells, f"{s.efficiency:.3f}", spread, f"{s.correction_share:.1%}")
    return sheet
