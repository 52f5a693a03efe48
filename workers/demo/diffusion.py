"""Teach UNet and text encoder to turn noise into the latents of a caption's picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from workers.demo.learning import Lesson
from workers.demo.networks import noise_schedule, text_encoder, unet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor
    from transformers import CLIPTokenizer

    from workers.demo.presets import Preset

    Caption = Callable[[int, torch.Generator], str]

SNR_CAP = 5.0
UNCONDITIONAL = 0.1


@dataclass(frozen=True, slots=True)
class Material:
    """What is learnt from: latents (N × C × h × w: mean and deviation), and words for each.

    `caption(i, generator)` words picture i, differently every time.
    """

    mean: Tensor
    deviation: Tensor
    caption: Caption


def lesson(
    preset: Preset, material: Material, words: CLIPTokenizer, state: Path, device: torch.device
) -> Lesson:
    """Return how UNet and text encoder are taught together."""
    torch.manual_seed(0)
    networks: Any = nn.ModuleDict({"unet": unet(preset), "text": text_encoder(preset, words)})
    networks.to(device, memory_format=torch.channels_last)
    scheduler = noise_schedule()
    if preset.compiled:
        networks["unet"].compile()

    def loss(nets: nn.ModuleDict, generator: torch.Generator) -> Tensor:
        latents, texts = batch(material, preset.diffusion.batch, generator)
        tokens = _tokens(words, texts).to(device)
        states = nets["text"](tokens).last_hidden_state
        return denoising_loss(nets["unet"], scheduler, latents.to(device), states, generator)

    return Lesson(networks, loss, preset.diffusion, state, half=preset.half)


def batch(
    material: Material, count: int, generator: torch.Generator
) -> tuple[Tensor, Sequence[str]]:
    """Draw latents with their posterior's noise, and captions, some of them empty."""
    chosen = torch.randint(len(material.mean), (count,), generator=generator)
    mean = material.mean[chosen]
    noise = torch.randn(mean.shape, generator=generator)
    silent = torch.rand(count, generator=generator) < UNCONDITIONAL
    texts = [
        "" if quiet else material.caption(int(i), generator)
        for i, quiet in zip(chosen, silent, strict=True)
    ]
    return mean + material.deviation[chosen] * noise, texts


def denoising_loss(
    denoiser: Any, scheduler: Any, latents: Tensor, states: Tensor, generator: torch.Generator
) -> Tensor:
    """Return the weighted squared error of the predicted velocity.

    Timesteps are spread evenly over the batch. Weights as in Hang et al., ICCV 2023, for
    v-prediction, but with SNR + 1 for SNR, so that the last timestep, where the SNR is 0, counts.
    """
    count, device = len(latents), latents.device
    total = scheduler.config.num_train_timesteps
    offsets = torch.rand(count, generator=generator)
    places = (torch.arange(count) + offsets) / count * total
    timesteps = places.long().clamp(max=total - 1).to(device)
    noise = torch.randn(latents.shape, generator=generator).to(device)
    noisy = scheduler.add_noise(latents, noise, timesteps)
    wanted = scheduler.get_velocity(latents, noise, timesteps)
    found = denoiser(noisy, timesteps, states, return_dict=False)[0]
    errors = (found.float() - wanted).square().flatten(1).mean(1)
    alphas = scheduler.alphas_cumprod.to(device)[timesteps]
    loss: Tensor = (errors * weights(alphas)).mean()
    return loss


def weights(alphas_cumprod: Tensor) -> Tensor:
    """Return min(SNR + 1, γ) / (SNR + 1), where SNR + 1 = 1 / (1 − ᾱ)."""
    share = 1 - alphas_cumprod
    return torch.minimum(torch.ones_like(share), SNR_CAP * share)


def _tokens(words: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    found: Tensor = words(
        list(texts), padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    return found
