"""What differs between model families: text to conditioning, latents to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from workers.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What the UNet is told. With guidance, the unconditional half comes first.

    `text` is (halves·B) × tokens × width; `added` holds SDXL's pooled text and time ids.
    """

    text: Tensor
    added: dict[str, Tensor] | None

    def repeated(self, times: int) -> Conditioning:
        """Return the conditioning of one prompt (halves × …) for `times` pictures of it."""
        added = self.added and {k: v.repeat_interleave(times, 0) for k, v in self.added.items()}
        return Conditioning(self.text.repeat_interleave(times, 0), added)


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of pipeline.

    `encode(pipe, prompt, negative, width, height, guided)` conditions one picture;
    `decode(pipe, latents)` gives pictures in [-1, 1], B × 3 × H × W.
    """

    encode: Callable[[Any, str, str | None, int, int, bool], Conditioning]
    decode: Callable[[Any, Tensor], Tensor]


def joined(parts: Sequence[Conditioning], guided: bool) -> Conditioning:
    """Put the conditionings of several pictures into one batch, halves kept together."""
    halves = 2 if guided else 1

    def merge(tensors: Sequence[Tensor]) -> Tensor:
        chunks = [tensor.chunk(halves) for tensor in tensors]
        return torch.cat([chunk[h] for h in range(halves) for chunk in chunks])

    first = parts[0].added
    added = first and {key: merge([p.added[key] for p in parts if p.added]) for key in first}
    return Conditioning(merge([part.text for part in parts]), added)


def _encode_sd(
    pipe: Any, prompt: str, negative: str | None, _width: int, _height: int, guided: bool
) -> Conditioning:
    device = pipe.unet.device
    text, unconditional = pipe.encode_prompt(prompt, device, 1, guided, negative)
    return Conditioning(torch.cat([unconditional, text]) if guided else text, None)


def _encode_sdxl(
    pipe: Any, prompt: str, negative: str | None, width: int, height: int, guided: bool
) -> Conditioning:
    device = pipe.unet.device
    text, no_text, pooled, no_pooled = pipe.encode_prompt(
        prompt=prompt,
        device=device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=guided,
        negative_prompt=negative,
    )
    second = pipe.text_encoder_2
    size = pooled.shape[-1] if second is None else second.config.projection_dim
    time_ids = pipe._get_add_time_ids(  # noqa: SLF001 - the pipeline offers no public way
        (height, width), (0, 0), (height, width), dtype=text.dtype, text_encoder_projection_dim=size
    ).to(device)
    if not guided:
        return Conditioning(text, {"text_embeds": pooled, "time_ids": time_ids})
    added = {
        "text_embeds": torch.cat([no_pooled, pooled]),
        "time_ids": torch.cat([time_ids, time_ids]),
    }
    return Conditioning(torch.cat([no_text, text]), added)


def _decode_sd(pipe: Any, latents: Tensor) -> Tensor:
    images = pipe.vae.decode(latents / pipe.vae.config.scaling_factor, return_dict=False)[0]
    checked: Tensor = pipe.run_safety_checker(images, images.device, images.dtype)[0]
    return checked


def _decode_sdxl(pipe: Any, latents: Tensor) -> Tensor:
    vae = pipe.vae
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    if not upcast:
        return _watermarked(pipe, vae.decode(_unscaled(vae.config, latents), return_dict=False)[0])
    vae.to(dtype=torch.float32)  # this autoencoder overflows in half precision
    try:
        images = vae.decode(_unscaled(vae.config, latents.float()), return_dict=False)[0]
    finally:
        vae.to(dtype=torch.float16)
    return _watermarked(pipe, images)


def _unscaled(config: Any, latents: Tensor) -> Tensor:
    scaled: Tensor = latents / config.scaling_factor
    if config.latents_mean is None or config.latents_std is None:
        return scaled
    mean = latents.new_tensor(config.latents_mean).view(1, -1, 1, 1)
    std = latents.new_tensor(config.latents_std).view(1, -1, 1, 1)
    unscaled: Tensor = latents * std / config.scaling_factor + mean
    return unscaled


def _watermarked(pipe: Any, images: Tensor) -> Tensor:
    watermark = getattr(pipe, "watermark", None)
    marked: Tensor = images if watermark is None else watermark.apply_watermark(images)
    return marked


FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": Family(_encode_sd, _decode_sd),
    "StableDiffusionXLPipeline": Family(_encode_sdxl, _decode_sdxl),
}


def family_of(pipe: Any) -> Family:
    """Return how to run this pipeline; raises ModelError naming the kinds there are."""
    name = type(pipe).__name__
    if name not in FAMILIES:
        raise ModelError(f"{name} models are not supported; these are: {', '.join(FAMILIES)}")
    return FAMILIES[name]
