from __future__ import annotations

from typing import Any

import pytest
import torch

from workers.demo.diffusion import SNR_CAP, Material, batch, denoising_loss, noised, weights
from workers.demo.networks import noise_schedule

WORDINGS, SILENCE = 3, torch.tensor([-1, -1])


def material(count: int = 3, deviation: float = 0.0) -> Material:
    """Return pictures whose latents and tokens are their number, the second token the wording."""
    mean = torch.arange(float(count)).view(count, 1, 1, 1).expand(count, 2, 4, 4)
    numbers, wordings = torch.meshgrid(torch.arange(count), torch.arange(WORDINGS), indexing="ij")
    tokens = torch.stack([numbers, wordings], 2)
    return Material(mean, torch.full_like(mean, deviation), tokens, SILENCE)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_latent_comes_with_its_own_words() -> None:
    latents, tokens = batch(material(), 50, generator())

    said = [(int(x[0, 0, 0]), int(t[0])) for x, t in zip(latents, tokens, strict=True) if t[0] >= 0]
    assert len(said) > 30
    assert all(number == token for number, token in said)


def test_a_picture_is_worded_in_all_its_ways() -> None:
    _, tokens = batch(material(count=1), 100, generator())

    assert {int(t[1]) for t in tokens} == {-1, *range(WORDINGS)}


def test_about_a_tenth_is_without_words_for_guidance() -> None:
    _, tokens = batch(material(), 4000, generator())

    silent = (tokens == SILENCE).all(1)
    assert float(silent.float().mean()) == pytest.approx(0.1, abs=0.02)


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

    asked = noised(scheduler, latents, generator())
    loss = denoising_loss(knowing, torch.zeros(8, 1, 1), *asked)

    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    assert sorted(int(t) // 125 for t in seen[0]) == list(range(8))  # spread over all timesteps


def test_a_denoiser_that_knows_nothing_has_a_loss() -> None:
    latents = torch.randn(8, 2, 4, 4, generator=generator())

    def silent(noisy: torch.Tensor, *_: Any, **__: Any) -> Any:
        return (torch.zeros_like(noisy),)

    asked = noised(noise_schedule(), latents, generator())
    loss = denoising_loss(silent, torch.zeros(8, 1, 1), *asked)

    assert float(loss) > 0.3
