from __future__ import annotations

from typing import Any

import pytest
import torch

from workers.demo.diffusion import SNR_CAP, Material, batch, denoising_loss, weights
from workers.demo.networks import noise_schedule


def material(count: int = 3, deviation: float = 0.0) -> Material:
    mean = torch.arange(float(count)).view(count, 1, 1, 1).expand(count, 2, 4, 4)
    return Material(mean, torch.full_like(mean, deviation), lambda i, _: f"picture {i}")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_latent_comes_with_its_own_caption() -> None:
    latents, texts = batch(material(), 50, generator())

    said = [(float(x[0, 0, 0]), text) for x, text in zip(latents, texts, strict=True) if text]
    assert len(said) > 30
    assert all(text == f"picture {value:.0f}" for value, text in said)


def test_about_a_tenth_of_the_captions_is_left_out_for_guidance() -> None:
    _, texts = batch(material(), 4000, generator())

    assert texts.count("") / 4000 == pytest.approx(0.1, abs=0.02)


def test_latents_vary_by_their_deviation() -> None:
    latents, _ = batch(material(count=1, deviation=0.5), 400, generator())

    assert float(latents.std()) == pytest.approx(0.5, abs=0.02)


def test_weights_follow_the_capped_ratio() -> None:
    alphas = torch.tensor([0.0, 0.5, 0.8, 0.99])

    snr_and_one = 1 / (1 - alphas)
    wanted = torch.minimum(snr_and_one, torch.tensor(SNR_CAP)) / snr_and_one
    assert weights(alphas).tolist() == pytest.approx(wanted.tolist(), rel=1e-5)
    assert float(weights(alphas)[0]) == 1.0


def test_a_denoiser_that_knows_the_velocity_has_no_loss() -> None:
    scheduler, latents = noise_schedule(), torch.randn(8, 2, 4, 4, generator=generator())
    seen: list[torch.Tensor] = []

    def knowing(noisy: torch.Tensor, timesteps: torch.Tensor, *_: Any, **__: Any) -> Any:
        seen.append(timesteps)
        alpha = scheduler.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        noise = (noisy - alpha.sqrt() * latents) / (1 - alpha).sqrt()
        return (alpha.sqrt() * noise - (1 - alpha).sqrt() * latents,)

    loss = denoising_loss(knowing, scheduler, latents, torch.zeros(8, 1, 1), generator())

    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    assert sorted(int(t) // 125 for t in seen[0]) == list(range(8))  # spread over all timesteps


def test_a_denoiser_that_knows_nothing_has_a_loss() -> None:
    latents = torch.randn(8, 2, 4, 4, generator=generator())

    def silent(noisy: torch.Tensor, *_: Any, **__: Any) -> Any:
        return (torch.zeros_like(noisy),)

    loss = denoising_loss(silent, noise_schedule(), latents, torch.zeros(8, 1, 1), generator())

    assert float(loss) > 0.3
