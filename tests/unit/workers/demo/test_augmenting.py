from __future__ import annotations

import numpy as np
import torch

from workers.demo.augmenting import changed


def dots(count: int = 8) -> np.ndarray:
    """Return pictures of one dark dot in the middle of white."""
    pictures = np.full((count, 32, 32, 3), 255, np.uint8)
    pictures[:, 12:20, 12:20] = 40
    return pictures


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pictures_keep_their_kind() -> None:
    found = changed(dots(), seeded())

    assert found.shape == dots().shape
    assert found.dtype == np.uint8


def test_the_same_seed_changes_alike() -> None:
    assert np.array_equal(changed(dots(), seeded()), changed(dots(), seeded()))
    assert not np.array_equal(changed(dots(), seeded()), changed(dots(), seeded(1)))


def test_every_picture_changes_in_its_own_way() -> None:
    assert len({picture.tobytes() for picture in changed(dots(), seeded())}) == 8


def test_a_picture_still_shows_the_same_thing() -> None:
    found = changed(dots(64), seeded()).astype(int)

    assert found[:, 16, 16].max() < 130
    assert found[:, 0, 0].min() > 215


def test_channels_stay_where_they_are() -> None:
    red = np.zeros((4, 16, 16, 3), np.uint8)
    red[..., 0] = 255
    means = changed(red, seeded()).mean((1, 2))

    assert (means[:, 0] > means[:, 1] + 100).all()
