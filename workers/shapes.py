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

SHAPES: dict[str, dict[str, Any]] = {
    "sd15": {"cross_attention_dim": 768, "attention_head_dim": 8},
}
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def random_model(shape: str) -> Model:
    """Return a model of that shape without text encoder or autoencoder: only denoising works.

    Raises ModelError naming the shapes there are.
    """
    if shape not in SHAPES:
        raise ModelError(f"no shape is called {shape!r}; there are {', '.join(SHAPES)}")
    device = best_device()
    torch.manual_seed(0)
    unet = UNet2DConditionModel(sample_size=64, **SHAPES[shape])
    unet.eval().requires_grad_(False).to(device, default_dtype(device))
    pipe = SimpleNamespace(unet=unet, scheduler=DDIMScheduler(**BETAS), vae_scale_factor=8)
    family = FAMILIES["StableDiffusionPipeline"]
    return Model(shape, "random", Path(), pipe, family, find_units(unet))
