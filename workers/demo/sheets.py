"""Pictures side by side, to be looked at."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from workers.images import grid, to_png

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

GRID_COLUMNS = 8
PAIR_COLUMNS = 8
PAIR_GAP = 10


def grid_prompts() -> tuple[str, ...]:
    """Return the 64 prompts that every model is shown with, in reading order."""
    return tuple(files("workers.demo").joinpath("grid.txt").read_text().splitlines())


def grid_sheet(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay the pictures of the grid's prompts out in rows of eight."""
    return grid(list(pictures), GRID_COLUMNS)


def pair_sheet(
    left: NDArray[np.uint8], right: NDArray[np.uint8], count: int = 80
) -> NDArray[np.uint8]:
    """Lay the first `count` pairs of pictures out, the two of a pair touching."""
    pairs = np.concatenate([left[:count], right[:count]], axis=2)
    return grid(list(pairs), PAIR_COLUMNS, PAIR_GAP)


def save_sheets(sheets: Mapping[str, NDArray[np.uint8]], folder: Path) -> list[Path]:
    """Write every sheet as "<name>.png" into a folder that exists; return the files."""
    paths = []
    for name, sheet in sheets.items():
        path = folder / f"{name}.png"
        path.write_bytes(to_png(sheet))
        paths.append(path)
    return paths
