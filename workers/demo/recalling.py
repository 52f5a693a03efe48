"""Teach the text encoder to recall the picture of a caption before any picture is drawn.

What a UNet cannot see in pure noise it has to read in the caption. A text encoder learns that far
sooner from a linear readout of whole latents than through a UNet, whose step costs ten times more
and says something about the caption only at high noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from workers.demo.diffusion import batch
from workers.demo.learning import Lesson
from workers.demo.networks import text_encoder

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from transformers import CLIPTokenizer

    from workers.demo.diffusion import Material
    from workers.demo.presets import Preset


def lesson(
    preset: Preset, material: Material, words: CLIPTokenizer, state: Path, device: torch.device
) -> Lesson:
    """Return how the text encoder is taught: squared errors of the latents it recalls."""
    torch.manual_seed(0)
    numbers = material.mean[0].numel()
    networks: Any = nn.ModuleDict(
        {"text": text_encoder(preset, words), "readout": nn.Linear(preset.text_width, numbers)}
    ).to(device)
    material = material.to(device)

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return batch(material, preset.text.batch, generator)

    return Lesson(networks, draw, recall_loss, preset.text, state, half=preset.half)


def recall_loss(networks: Any, latents: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean squared error of B latents recalled from their captions' B × length tokens.

    Recalled from the last token alone: it has seen all others, and however long a caption is,
    the tokens that fill it up become like it.
    """
    last = networks["text"](tokens).last_hidden_state[:, -1]
    errors: Tensor = networks["readout"](last).float() - latents.flatten(1)
    return errors.square().mean()
