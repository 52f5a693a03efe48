from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny_demo import TINY, pictures
from workers.demo.autoencoder import (
    latents_of,
    random_crops,
    reconstruction_loss,
    standardise,
)
from workers.demo.networks import autoencoder
from workers.images import to_tensor

CHANNELS = TINY.latent_channels


@pytest.fixture
def vae() -> Any:
    """Return an untrained autoencoder that is sure of its latents."""
    torch.manual_seed(0)
    vae = autoencoder(TINY).eval()
    with torch.no_grad():
        vae.quant_conv.bias[CHANNELS:] -= 12
    return vae


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def noise_pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


def test_pixels_become_tensors_from_minus_one_to_one() -> None:
    pixels = np.array([[[[0, 255, 51]]]], np.uint8)

    assert to_tensor(pixels).flatten().tolist() == pytest.approx([-1.0, 1.0, -0.6])


def test_crops_are_parts_of_the_pictures() -> None:
    pixels = torch.arange(2 * 3 * 6 * 6).view(2, 3, 6, 6)

    crops = random_crops(pixels.permute(0, 2, 3, 1), 5, 4, generator())

    assert crops.shape == (5, 3, 4, 4)
    corners = crops[:, :, :1, :1]
    inside = (crops - corners == torch.arange(4).view(4, 1) * 6 + torch.arange(4)).all()
    assert inside
    assert len(corners[:, 0].unique()) > 2
    assert (corners[:, 1:] - corners[:, :-1] == 36).all()


def test_standardised_latents_have_mean_0_and_deviation_1(vae: Any) -> None:
    standardise(vae, noise_pictures())

    mean, _ = latents_of(vae, noise_pictures())

    assert mean.mean((0, 2, 3)).tolist() == pytest.approx([0.0] * 4, abs=1e-4)
    assert mean.std((0, 2, 3)).tolist() == pytest.approx([1.0] * 4, abs=1e-3)


def test_standardising_changes_no_picture(vae: Any) -> None:
    x = to_tensor(noise_pictures())
    with torch.no_grad():
        before = vae.decode(vae.encode(x).latent_dist.mean).sample
        standardise(vae, noise_pictures())
        after = vae.decode(vae.encode(x).latent_dist.mean).sample

    assert torch.allclose(before, after, atol=1e-4)


def test_a_channel_that_is_noise_is_closed_and_the_others_are_not(vae: Any) -> None:
    with torch.no_grad():
        vae.quant_conv.bias[CHANNELS + 2] += 24
        x = to_tensor(noise_pictures())
        standardise(vae, noise_pictures())
        mean, deviation = latents_of(vae, noise_pictures())
        latents = vae.encode(x).latent_dist.mean
        other = latents.clone()
        other[:, 2] = 5.0
        made, also = vae.decode(latents).sample, vae.decode(other).sample

    assert mean.std((0, 2, 3)).tolist() == pytest.approx([1.0, 1.0, 0.0, 1.0], abs=1e-3)
    assert float(deviation[:, 2].max()) < 1e-6
    assert torch.equal(made, also)


def test_standardising_scales_the_deviation_with_the_mean(vae: Any) -> None:
    before_mean, before_std = latents_of(vae, noise_pictures())

    standardise(vae, noise_pictures())

    _, deviation = latents_of(vae, noise_pictures())
    ratio = before_std / before_mean.std((0, 2, 3)).view(1, -1, 1, 1)
    assert torch.allclose(deviation, ratio, rtol=1e-3)


def test_the_loss_is_smaller_the_closer_the_picture(vae: Any) -> None:
    class Perfect(torch.nn.Module):
        def __init__(self, wanted: torch.Tensor, off: float) -> None:
            super().__init__()
            self.made, self.encode, self.dtype = wanted + off, vae.encode, vae.dtype

        def decode(self, _latents: torch.Tensor) -> object:
            return type("Decoded", (), {"sample": self.made})

    x = to_tensor(pictures().pictures)
    noise = torch.randn(vae.encode(x).latent_dist.mean.shape, generator=generator())
    losses = [
        float(reconstruction_loss(Perfect(x, off), x, noise).detach()) for off in (0.0, 0.1, 0.5)
    ]

    assert losses == sorted(losses)
    assert losses[0] < 0.01
