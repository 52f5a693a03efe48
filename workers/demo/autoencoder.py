"""Teach the autoencoder to compress pictures, and make its latents standard normal a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from workers.demo.learning import Lesson
from workers.demo.networks import autoencoder
from workers.images import to_tensor

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL
    from numpy.typing import NDArray
    from torch import Tensor

    from workers.demo.presets import Preset

SQUARED_WEIGHT = 8.0
EDGE_WEIGHT = 0.5
KL_WEIGHT = 2e-4
ENCODE_BATCH = 64
LEAST_LOG_VARIANCE = -30.0  # what diffusers' AutoencoderKL cuts at


def lesson(
    preset: Preset, pictures: NDArray[np.uint8], state: Path, device: torch.device
) -> Lesson:
    """Return how the autoencoder is taught: random crops, absolute, squared and edge errors."""
    torch.manual_seed(0)
    networks: Any = nn.ModuleDict({"vae": autoencoder(preset)})
    networks.to(device, memory_format=torch.channels_last)
    pixels = torch.from_numpy(pictures).to(device)
    side = preset.crop // (preset.side // preset.latent_side)
    shape = (preset.autoencoder.batch, preset.latent_channels, side, side)

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        crops = random_crops(pixels, preset.autoencoder.batch, preset.crop, generator)
        noise = torch.randn(shape, generator=generator, device=device)
        return crops.float() / 127.5 - 1, noise

    def loss(nets: nn.ModuleDict, x: Tensor, noise: Tensor) -> Tensor:
        return reconstruction_loss(nets["vae"], x, noise)

    return Lesson(networks, draw, loss, preset.autoencoder, state, half=preset.half)


def random_crops(pixels: Tensor, count: int, side: int, generator: torch.Generator) -> Tensor:
    """Return `count` crops, count × 3 × side × side, each from a random picture and place.

    `pixels` are N × height × width × 3, on the generator's device.
    """

    def draw(below: int) -> Tensor:
        return torch.randint(below, (count, 1, 1), generator=generator, device=generator.device)

    along = torch.arange(side, device=generator.device)
    room = pixels.shape[1] - side + 1
    which, down, right = draw(len(pixels)), draw(room), draw(room)
    crops = pixels[which, down + along.view(1, side, 1), right + along.view(1, 1, side)]
    return crops.permute(0, 3, 1, 2)


def reconstruction_loss(vae: Any, x: Tensor, noise: Tensor) -> Tensor:
    """Return errors of pixels and of edges, and a little pull of the latents towards N(0, 1).

    `noise` is the standard normal of which the latents are drawn, in their shape.
    """
    posterior = vae.encode(x.to(vae.dtype)).latent_dist
    drawn = posterior.mean + posterior.std * noise.to(vae.dtype)
    made = vae.decode(drawn).sample.float()
    pixels = (made - x).abs().mean() + SQUARED_WEIGHT * (made - x).square().mean()
    edges = sum((e - f).abs().mean() for e, f in zip(_edges(made), _edges(x), strict=True))
    kl = posterior.kl().float().mean() / posterior.mean[0].numel()
    loss: Tensor = pixels + EDGE_WEIGHT * edges + KL_WEIGHT * kl
    return loss


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


@torch.inference_mode()
def latents_of(vae: AutoencoderKL, pictures: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of every picture's latents, N × C × h × w each, on the CPU."""
    means, deviations = [], []
    for start in range(0, len(pictures), ENCODE_BATCH):
        x = to_tensor(pictures[start : start + ENCODE_BATCH]).to(vae.device)
        posterior = vae.encode(x).latent_dist
        means.append(posterior.mean.cpu())
        deviations.append(posterior.std.cpu())
    return torch.cat(means), torch.cat(deviations)


@torch.no_grad()
def standardise(vae: AutoencoderKL, pictures: NDArray[np.uint8]) -> None:
    """Change the convolutions beside the latents so that each channel has mean 0, deviation 1.

    What the autoencoder makes of a picture stays the same. A channel that says less than its own
    noise is closed: it is 0 for every picture, so that nobody has to learn the noise.
    """
    mean, deviation = latents_of(vae, pictures)
    centre, scale = mean.mean((0, 2, 3)), mean.std((0, 2, 3))
    is_open = scale > deviation.square().mean((0, 2, 3)).sqrt()
    _standardised(vae, centre.to(vae.device), scale.to(vae.device))
    _close(vae, torch.nonzero(~is_open).flatten().to(vae.device))


def _standardised(vae: AutoencoderKL, centre: Tensor, scale: Tensor) -> None:
    channels = len(centre)
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.bias[:channels] -= centre
    quant.weight[:channels] /= scale.view(-1, 1, 1, 1)
    quant.bias[:channels] /= scale
    quant.bias[channels:] -= 2 * scale.log()
    post.bias += (post.weight[:, :, 0, 0] @ centre.unsqueeze(1)).squeeze(1)
    post.weight *= scale.view(1, -1, 1, 1)


def _close(vae: AutoencoderKL, closed: Tensor) -> None:
    quant, post = vae.quant_conv, vae.post_quant_conv
    deviations = closed + post.weight.shape[1]
    for silent in (closed, deviations):
        quant.weight[silent] = 0
    quant.bias[closed] = 0
    quant.bias[deviations] = LEAST_LOG_VARIANCE
    post.weight[:, closed] = 0
