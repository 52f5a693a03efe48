from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from workers.demo.sheets import PAIR_GAP, grid_prompts, grid_sheet, pair_sheet, save_sheets

if TYPE_CHECKING:
    from pathlib import Path


def plain(*shades: int) -> np.ndarray:
    return np.stack([np.full((4, 4, 3), shade, np.uint8) for shade in shades])


def test_there_are_64_different_prompts_in_all_three_styles() -> None:
    prompts = grid_prompts()

    assert len(set(prompts)) == len(prompts) == 64
    assert all(any(prompt.endswith(s) for prompt in prompts) for s in ("3d", "noto", "flat"))


def test_the_grid_has_eight_columns() -> None:
    assert grid_sheet(plain(*range(64))).shape == (8 * 8 - 4, 8 * 8 - 4, 3)


def test_the_two_of_a_pair_touch() -> None:
    sheet = pair_sheet(plain(10, 20), plain(110, 120))

    assert sheet[0, :8, 0].tolist() == [10] * 4 + [110] * 4
    assert sheet[0, 8 : 8 + PAIR_GAP].min() == 255
    assert sheet[0, 8 + PAIR_GAP :, 0].tolist()[:8] == [20] * 4 + [120] * 4


def test_only_the_first_pairs_are_shown() -> None:
    many = plain(*range(20))

    assert np.array_equal(pair_sheet(many, many, 3), pair_sheet(many[:3], many[:3]))


def test_sheets_are_written_under_their_names(tmp_path: Path) -> None:
    sheets = {"grid": plain(7)[0], "nearest": plain(9)[0]}
    paths = save_sheets(sheets, tmp_path)

    assert [path.name for path in paths] == ["grid.png", "nearest.png"]
    for path, sheet in zip(paths, sheets.values(), strict=True):
        assert np.array_equal(np.array(Image.open(BytesIO(path.read_bytes()))), sheet)
