"""UNets of well-known shapes with random weights, to measure speed without downloading a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from workers.errors import ModelError
from workers.families import FAMILIES, Conditioning
from workers.pipeline import Model, best_device, default_dtype, layout_for, quiet
from workers.units import example_inputs, find_units

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
TOKENS = 77
NOISE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "steps_offset": 1,
}


def random_model(shape: str, dtype: torch.dtype | None = None) -> Model:
    """Return a model of that shape without text encoder or autoencoder: only denoising works.

    By default in the dtype that suits this device. Raises ModelError naming the shapes there are.
    """
    quiet()
    device = best_device()
    with torch.device("meta"):
        unet = unet_of(shape)
    # Drawn where they stay: billions of weights take long on their way through a CPU.
    unet = unet.to(dtype or default_dtype(device)).to_empty(device=device)
    draw_weights(unet)
    unet.to(memory_format=layout_for(device))
    return bare_model(shape, unet)


@torch.no_grad()
def draw_weights(unet: UNet2DConditionModel, seed: int = 0) -> None:
    """Fill a UNet with weights that keep activations in range: norms pass on what they are given.

    Matrices are normal with a variance of 1 / inputs, biases 0.
    """
    generator = torch.Generator(unet.device).manual_seed(seed)
    for name, weights in unet.named_parameters():
        if weights.dim() > 1:
            weights.normal_(std=weights[0].numel() ** -0.5, generator=generator)
        else:
            weights.fill_(0.0 if name.endswith("bias") else 1.0)


def unet_of(shape: str, **changes: Any) -> UNet2DConditionModel:
    """Return a UNet of that shape on torch's current device, with changes to its configuration.

    Raises ModelError naming the shapes there are.
    """
    if shape not in SHAPES:
        raise ModelError(f"no shape is called {shape!r}; there are {', '.join(SHAPES)}")
    unet = UNet2DConditionModel(**{**SHAPES[shape], **changes})
    return unet.eval().requires_grad_(False)


def bare_model(name: str, unet: UNet2DConditionModel) -> Model:
    """Return a model of nothing but a UNet, in a diffusers pipeline of its kind."""
    pipe = _pipeline(unet)
    pipe.set_progress_bar_config(disable=True)
    return Model(name, "random", Path(), pipe, FAMILIES[type(pipe).__name__], find_units(unet))


def _pipeline(unet: UNet2DConditionModel) -> Any:
    absent = dict.fromkeys(("vae", "text_encoder", "tokenizer"))
    parts = {"unet": unet, "scheduler": DDIMScheduler(**NOISE), **absent}
    if unet.config.addition_embed_type == "text_time":
        further = dict.fromkeys(("text_encoder_2", "tokenizer_2"))
        return StableDiffusionXLPipeline(**parts, **further, add_watermarker=False)
    unchecked = dict.fromkeys(("safety_checker", "feature_extractor"))
    return StableDiffusionPipeline(**parts, **unchecked, requires_safety_checker=False)


def random_conditioning(model: Model, batch: int = 1) -> Conditioning:
    """Return guided conditioning of pictures of the model's own size, all of one random text.

    With SDXL's pooled text and time ids where the UNet asks for them. Its speed is that of any.
    """
    inputs = example_inputs(model.pipe.unet)
    width, added = inputs["encoder_hidden_states"].shape[-1], inputs.get("added_cond_kwargs")
    generator = torch.Generator(model.device).manual_seed(0)
    text = torch.randn(
        1, TOKENS, width, device=model.device, dtype=model.dtype, generator=generator
    )
    if added is not None:
        side = model.native_size  # uncropped, as SDXL's own pipeline says it
        added["time_ids"] = text.new_tensor([[side, side, 0, 0, side, side]])
    return Conditioning(text, added).repeated(2 * batch)
