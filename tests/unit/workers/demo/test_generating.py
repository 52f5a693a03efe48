from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from workers.demo.generating import BATCH, generate, reconstruct
from workers.images import to_pixels
from workers.quality import psnr_db

if TYPE_CHECKING:
    from workers.pipeline import Model


def quiet(_done: int, _total: int) -> None:
    """Hear and forget."""


def test_every_caption_has_its_picture_from_its_seed(tiny: Model) -> None:
    made = generate(tiny, ["a cat", "a dog", "a cat", "a cat"], [1, 1, 2, 1], quiet)

    assert made.shape == (4, 16, 16, 3)
    assert np.array_equal(made[0], made[3])
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_more_than_a_batch_is_drawn_in_order(tiny: Model) -> None:
    told: list[tuple[int, int]] = []
    seeds = range(BATCH + 2)
    made = generate(tiny, ["a cat"] * len(seeds), seeds, lambda *done: told.append(done))
    last = generate(tiny, ["a cat"], [BATCH + 1], quiet)

    assert told == [(BATCH, BATCH + 2), (BATCH + 2, BATCH + 2)]
    assert psnr_db(made[-1:], last)[0] > 40


def test_a_caption_without_a_seed_is_refused(tiny: Model) -> None:
    with pytest.raises(ValueError, match="shorter"):
        generate(tiny, ["a cat", "a dog"], [1], quiet)


def test_pictures_go_through_the_autoencoder_without_chance(tiny: Model) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), np.uint8)
    vae = tiny.pipe.vae
    with torch.inference_mode():
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        expected = to_pixels(vae.decode(vae.encode(x).latent_dist.mean).sample)

    assert np.array_equal(reconstruct(tiny, pictures, quiet), expected)


def test_a_trained_autoencoder_gives_pictures_back(emoji: Model) -> None:
    side = emoji.native_size
    ramp = np.linspace(0, 255, side).astype(np.uint8)
    picture = np.broadcast_to(ramp[None, None, :, None], (1, side, side, 3)).copy()

    assert psnr_db(reconstruct(emoji, picture, quiet), picture)[0] > 15
