from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from workers.evaluating.errors import EvaluationError
from workers.evaluating.scores import Space, Standard, pictures_in
from workers.quality import PerceptualDistance

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def distance() -> PerceptualDistance:
    return PerceptualDistance(torch.device("cpu"))


def pictures(count: int = 6) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)


def test_identical_pictures_score_best(distance: PerceptualDistance) -> None:
    space = Space(pictures(), 3, distance)
    scores = Standard(pictures(), space, distance).scores(pictures())

    assert (scores.psnr_db, scores.ssim) == (100.0, 1.0)
    assert (scores.distance, scores.frechet) == pytest.approx((0, 0), abs=1e-6)


def test_other_pictures_score_worse(distance: PerceptualDistance) -> None:
    space = Space(pictures(), 3, distance)
    scores = Standard(pictures(), space, distance).scores(255 - pictures())

    assert scores.psnr_db < 20
    assert scores.distance > 0.01
    assert scores.frechet > 0.01


def test_a_space_has_fewer_dimensions_than_pictures(distance: PerceptualDistance) -> None:
    assert Space(pictures(6), 3, distance).dimensions == 3
    assert Space(pictures(3), 64, distance).dimensions == 2
    assert Space(pictures(6), 3, distance).of(pictures(2)).shape == (2, 3)


def test_pictures_of_a_folder_are_read_on_white_in_one_size(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("RGB", (8, 8), "black").save(tmp_path / "black.jpg")
    (tmp_path / "notes.txt").write_text("not a picture")

    black, clear = pictures_in(tmp_path, 16, 16)
    assert black.shape == (16, 16, 3)
    assert clear.min() == 255
    assert black.max() < 8


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="not two pictures"):
        pictures_in(tmp_path, 16, 16)
