"""The smaller bundled model, which tests use: its folder, the size of its pictures, its plans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schedules.book import PlanBook
from schedules.cost import CostModel

NAME = "emoji-small"
FOLDER = Path(__file__).parents[1] / "workers" / "demo" / NAME
SIDE = 64


def book() -> PlanBook:
    """Return the plan book that is bundled."""
    return PlanBook.from_dict(_read("book"))


def costs() -> CostModel:
    """Return the costs that calibration measured."""
    return CostModel.from_dict(_read("costs"))


def _read(kind: str) -> Any:
    return json.loads((FOLDER / "blockcache" / f"{kind}-{SIDE}x{SIDE}.json").read_text("utf-8"))
