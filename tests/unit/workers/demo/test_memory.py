from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from workers.demo.memory import Nearest, copy_threshold, nearest, nearness
from workers.quality import PerceptualDistance

NOBODY = np.full(6, -1, np.intp)


@pytest.fixture(scope="module")
def distance() -> PerceptualDistance:
    return PerceptualDistance(torch.device("cpu"))


def pictures(seed: int = 1, count: int = 6) -> np.ndarray:
    """Return blocks of colour, every picture its own."""
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return blocks.repeat(4, 1).repeat(4, 2)


def quiet(_done: int, _total: int) -> None:
    """Hear and forget."""


def test_copies_are_found_where_they_come_from(distance: PerceptualDistance) -> None:
    found = nearest(pictures()[::-1].copy(), pictures(), NOBODY, distance, quiet)

    assert found.positions.tolist() == [5, 4, 3, 2, 1, 0]
    assert found.distances.max() < 1e-5


def test_the_distance_is_the_perceptual_one(distance: PerceptualDistance) -> None:
    one, other = pictures(1, 1), pictures(2, 1)
    expected = distance.between(distance.features(one), distance.features(other))

    found = nearest(one, other, NOBODY[:1], distance, quiet)
    assert found.distances == pytest.approx(expected, rel=1e-4)


def test_a_picture_is_not_its_own_neighbour(distance: PerceptualDistance) -> None:
    training = pictures()
    training[3] = training[0]
    found = nearest(training, training, np.arange(6), distance, quiet)

    assert (found.positions != np.arange(6)).all()
    assert (found.positions[0], found.positions[3]) == (3, 0)
    assert found.distances[1] > 0.1


def test_all_training_pictures_are_gone_through(distance: PerceptualDistance) -> None:
    told: list[tuple[int, int]] = []
    training = pictures(2, 20)
    nearest(pictures(), training, NOBODY, distance, lambda *done: told.append(done))

    assert told[-1] == (20, 20)
    assert all(a < b for a, b in pairwise(told))


def test_generated_training_pictures_are_all_near_copies(distance: PerceptualDistance) -> None:
    noise = np.random.default_rng(3).integers(-12, 13, pictures().shape)
    soft = (pictures() + noise).clip(0, 255).astype(np.uint8)
    threshold = copy_threshold(pictures(), soft, distance)
    copied = nearest(pictures(), pictures(), NOBODY, distance, quiet)
    new = nearest(pictures(5), pictures(), NOBODY, distance, quiet)

    assert threshold > 0
    assert nearness(copied.distances, threshold).near_copies == 1
    assert nearness(new.distances, threshold).near_copies == 0


def test_nine_of_ten_copies_are_within_the_threshold(distance: PerceptualDistance) -> None:
    originals = pictures(1, 20)
    copies = originals.copy()
    copies[0] = 255 - copies[0]  # one copy of twenty is far off

    assert copy_threshold(originals, copies, distance) < 1e-5


def test_distances_are_summed_up() -> None:
    found = nearness(np.linspace(0, 1, 101), threshold=0.25)

    assert (found.pictures, found.low, found.middle, found.high) == (
        101,
        *(pytest.approx(share) for share in (0.1, 0.5, 0.9)),
    )
    assert found.near_copies == pytest.approx(26 / 101)


def test_what_was_asked_together_is_answered_apart() -> None:
    parts = Nearest(np.arange(5.0), np.arange(5)).split([2, 0, 3])

    assert [part.positions.tolist() for part in parts] == [[0, 1], [], [2, 3, 4]]
