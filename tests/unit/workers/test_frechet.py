from __future__ import annotations

import numpy as np
import pytest

from workers.frechet import frechet_distance, principal_axes


def features(count: int, dimensions: int = 8, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimensions))


def test_a_set_is_no_distance_from_itself() -> None:
    assert frechet_distance(features(50), features(50)) == pytest.approx(0, abs=1e-9)


def test_a_shift_is_its_square() -> None:
    assert frechet_distance(features(50), features(50) + 3.0) == pytest.approx(8 * 9.0)


def test_a_wider_set_is_farther() -> None:
    one = features(50)
    wider, widest = frechet_distance(one, 2 * one), frechet_distance(one, 3 * one)

    assert 0 < wider < widest


def test_it_is_the_formula_of_gaussians() -> None:
    one, other = features(400), features(300, seed=2) @ np.diag(np.arange(1.0, 9.0)) + 1.0
    c, d = np.cov(one.T), np.cov(other.T)
    root = np.sqrt(np.linalg.eigvals(c @ d).real).sum()
    shift = np.square(one.mean(0) - other.mean(0)).sum()

    expected = shift + np.trace(c) + np.trace(d) - 2 * root
    assert frechet_distance(one, other) == pytest.approx(expected)


def test_fewer_pictures_than_dimensions_are_no_trouble() -> None:
    one = features(5, 40)

    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, features(5, 40, seed=2)) > 1


def test_one_picture_has_a_place_and_no_spread() -> None:
    assert frechet_distance(np.zeros((1, 4)), np.full((1, 4), 2.0)) == pytest.approx(16)


def test_the_first_axis_is_the_longest() -> None:
    stretched = features(200) * np.array([1, 1, 9, 1, 1, 1, 1, 1])
    axes = principal_axes(stretched, 2)

    assert axes.shape == (8, 2)
    assert abs(axes[2, 0]) > 0.99
    assert axes.T @ axes == pytest.approx(np.eye(2), abs=1e-9)


def test_there_are_no_more_axes_than_pictures() -> None:
    assert principal_axes(features(3, 40), 64).shape == (40, 3)
