from __future__ import annotations

import numpy as np
import pytest
import torch

from workers.quality import Judge, PerceptualDistance, psnr_db, ssim

SHAPE = (2, 32, 32, 3)


def pictures() -> np.ndarray:
    """Return two smooth pictures."""
    ramp = np.linspace(0, 255, 32, dtype=np.float64)
    one = np.stack([np.add.outer(ramp, ramp) / 2] * 3, axis=-1)
    return np.stack([one, one[::-1]]).astype(np.uint8)


def noisy(strength: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, strength, SHAPE)
    return (pictures() + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(pictures(), PerceptualDistance(torch.device("cpu")))


def test_identical_pictures_are_perfect(judge: Judge) -> None:
    found = judge.fidelity(pictures())

    assert (found.psnr_db, found.ssim) == (100.0, 1.0)
    assert found.similarity == pytest.approx(1.0, abs=1e-6)


def test_more_noise_scores_worse_by_every_measure(judge: Judge) -> None:
    little, much = judge.fidelity(noisy(5)), judge.fidelity(noisy(60))

    assert 1 > little.similarity > much.similarity
    assert 1 > little.ssim > much.ssim
    assert 100 > little.psnr_db > much.psnr_db


def test_the_first_pictures_are_compared_with_the_first_of_the_reference(judge: Judge) -> None:
    assert judge.fidelity(pictures()[:1]).ssim == 1.0
    assert judge.fidelity(pictures()[1:]).ssim < 0.9


def test_psnr_is_that_of_each_picture() -> None:
    left = np.zeros((2, 2, 2, 3), np.uint8)
    right = left.copy()
    right[1] = 255

    assert psnr_db(left, right).tolist() == [100.0, pytest.approx(0.0)]


def test_psnr_of_a_known_error() -> None:
    left, right = np.full((1, 4, 4, 3), 100, np.uint8), np.full((1, 4, 4, 3), 90, np.uint8)

    assert psnr_db(left, right)[0] == pytest.approx(20 * np.log10(255 / 10))


def test_structural_similarity_does_not_depend_on_the_order() -> None:
    assert ssim(pictures(), noisy(20)) == pytest.approx(ssim(noisy(20), pictures()))


def test_pooled_features_are_those_of_each_picture_wherever_its_content_lies() -> None:
    distance = PerceptualDistance(torch.device("cpu"))
    flipped = distance.pooled(pictures()[:, ::-1].copy())
    both, alone = distance.pooled(pictures()), distance.pooled(pictures()[1:])

    assert both.shape == (2, 312)
    assert both[1] == pytest.approx(alone[0], abs=1e-4)
    assert np.abs(both[0] - flipped[1]).max() < 1e-4
