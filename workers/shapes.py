"""UNets of well-known shapes with random weights, to measure speed without downloading a model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from workers.errors import ModelError
from workers.families import FAMILIES
from workers.pipeline import Model, best_device, default_dtype
from workers.units import find_units

# Of EMU-768 it is known that it has 2.7 billion parameters and 16 latent channels; figures of what
# is cached in it (Wimbauer et al., CVPR 2024) show four layers a level, without attention in the
# deepest. Width and length of the text's vectors are chosen to fit that.
SHAPES: dict[str, dict[str, Any]] = {
    "sd15": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (5, 10, 20),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    "emu": {
        "sample_size": 96,
        "in_channels": 16,
        "out_channels": 16,
        "block_out_channels": (448, 896, 1792, 1792),
        "attention_head_dim": (7, 14, 28, 28),
        "layers_per_block": 4,
        "cross_attention_dim": 768,
    },
}
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def random_model(shape: str) -> Model:
    """Return a model of that shape without text encoder or autoencoder: only denoising works.

    Raises ModelError naming the shapes there are.
    """
    device = best_device()
    torch.manual_seed(0)
    with device:
        unet = unet_of(shape)
    return bare_model(shape, unet.to(device, default_dtype(device)))


def unet_of(shape: str, **changes: Any) -> UNet2DConditionModel:
    """Return a UNet of that shape on torch's current device, with changes to its configuration.

    Raises ModelError naming the shapes there are.
    """
    if shape not in SHAPES:
        raise ModelError(f"no shape is called {shape!r}; there are {', '.join(SHAPES)}")
    unet = UNet2DConditionModel(**{**SHAPES[shape], **changes})
    return unet.eval().requires_grad_(False)


def bare_model(name: str, unet: UNet2DConditionModel) -> Model:
    """Return a model of nothing but a UNet."""
    pipe = SimpleNamespace(unet=unet, scheduler=DDIMScheduler(**BETAS), vae_scale_factor=8)
    family = FAMILIES["StableDiffusionPipeline"]
    return Model(name, "random", Path(), pipe, family, find_units(unet))
