"""Teach UNet and text encoder to turn noise into the latents of a caption's picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from workers.demo.learning import Lesson
from workers.demo.networks import noise_schedule, text_encoder, unet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor
    from transformers import CLIPTokenizer

    from workers.demo.presets import Preset

SNR_CAP = 5.0
UNCONDITIONAL = 0.1


@dataclass(frozen=True, slots=True)
class Material:
    """What is learnt from: N pictures' latents and words, and what no words are.

    `mean` and `deviation` are N × C × h × w, `tokens` N × wordings × length, `silence` of that
    length.
    """

    mean: Tensor
    deviation: Tensor
    tokens: Tensor
    silence: Tensor

    def to(self, device: torch.device) -> Material:
        """Return the same on a device."""
        parts = (self.mean, self.deviation, self.tokens, self.silence)
        return Material(*(part.to(device) for part in parts))


def lesson(
    preset: Preset, material: Material, words: CLIPTokenizer, state: Path, device: torch.device
) -> Lesson:
    """Return how UNet and text encoder are taught together."""
    torch.manual_seed(0)
    networks: Any = nn.ModuleDict({"unet": unet(preset), "text": text_encoder(preset, words)})
    networks.to(device, memory_format=torch.channels_last)
    scheduler, material = noise_schedule(), material.to(device)

    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        latents, tokens = batch(material, preset.diffusion.batch, generator)
        return (tokens, *noised(scheduler, latents, generator))

    def loss(nets: nn.ModuleDict, tokens: Tensor, *asked: Tensor) -> Tensor:
        return denoising_loss(nets["unet"], nets["text"](tokens).last_hidden_state, *asked)

    return Lesson(networks, draw, loss, preset.diffusion, state, half=preset.half)


def batch(material: Material, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw latents with their posterior's noise, and one wording of each, some of them silent."""
    where = generator.device
    wordings = material.tokens.shape[1]
    chosen = torch.randint(len(material.mean), (count,), generator=generator, device=where)
    worded = torch.randint(wordings, (count,), generator=generator, device=where)
    silent = torch.rand(count, 1, generator=generator, device=where) < UNCONDITIONAL
    mean = material.mean[chosen]
    noise = torch.randn(mean.shape, generator=generator, device=where)
    tokens = torch.where(silent, material.silence, material.tokens[chosen, worded])
    return mean + material.deviation[chosen] * noise, tokens


def noised(scheduler: Any, latents: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return noisy latents, their timesteps, the velocity to predict, and each one's weight.

    Timesteps are spread evenly over the batch. Weights as in Hang et al., ICCV 2023, for
    v-prediction, but with SNR + 1 for SNR, so that the last timestep, where the SNR is 0, counts.
    """
    count, where = len(latents), generator.device
    total = scheduler.config.num_train_timesteps
    offsets = torch.rand(count, generator=generator, device=where)
    places = (torch.arange(count, device=where) + offsets) / count * total
    timesteps = places.long().clamp(max=total - 1)
    noise = torch.randn(latents.shape, generator=generator, device=where)
    noisy = scheduler.add_noise(latents, noise, timesteps)
    wanted = scheduler.get_velocity(latents, noise, timesteps)
    return noisy, timesteps, wanted, weights(scheduler.alphas_cumprod.to(where)[timesteps])


def denoising_loss(
    denoiser: Any, states: Tensor, noisy: Tensor, timesteps: Tensor, wanted: Tensor, weight: Tensor
) -> Tensor:
    """Return the weighted squared error of the predicted velocity."""
    found = denoiser(noisy.to(states.dtype), timesteps, states, return_dict=False)[0]
    errors: Tensor = (found.float() - wanted).square().flatten(1).mean(1)
    return (errors * weight).mean()


def weights(alphas_cumprod: Tensor) -> Tensor:
    """Return min(SNR + 1, γ) / (SNR + 1), where SNR + 1 = 1 / (1 − ᾱ)."""
    share = 1 - alphas_cumprod
    return torch.minimum(torch.ones_like(share), SNR_CAP * share)


def tokens_of(words: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Return the tokens of texts, each padded or cut to the tokenizer's length."""
    found: Tensor = words(
        list(texts), padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    return found
