"""What differs between model families: text to conditioning, latents to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from workers.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

LDM_TOKENS = 77


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
    `reveal(pipe, latents)` gives pictures in [-1, 1], B × 3 × H × W, as the autoencoder makes them;
    `finish(pipe, images)` is what happens to them before anybody may see them.
    """

    encode: Callable[[Any, str, str | None, int, int, bool], Conditioning]
    reveal: Callable[[Any, Tensor], Tensor]
    finish: Callable[[Any, Tensor], Tensor]

    def decode(self, pipe: Any, latents: Tensor) -> Tensor:
        """Return finished pictures in [-1, 1], B × 3 × H × W."""
        return self.finish(pipe, self.reveal(pipe, latents))


def joined(parts: Sequence[Conditioning], guided: bool) -> Conditioning:
    """Put the conditionings of several pictures into one batch, halves kept together."""
    halves = 2 if guided else 1

    def merge(tensors: Sequence[Tensor]) -> Tensor:
        chunks = [tensor.chunk(halves) for tensor in tensors]
        return torch.cat([chunk[h] for h in range(halves) for chunk in chunks])

    first = parts[0].added
    added = first and {key: merge([p.added[key] for p in parts if p.added]) for key in first}
    return Conditioning(merge([part.text for part in parts]), added)


def _device(pipe: Any) -> torch.device:
    # diffusers' own property walks all modules: 2 ms of every prompt, beside pictures of 60.
    device: torch.device = next(pipe.unet.parameters()).device
    return device


def _encode_sd(
    pipe: Any, prompt: str, negative: str | None, _width: int, _height: int, guided: bool
) -> Conditioning:
    device = _device(pipe)
    text, unconditional = pipe.encode_prompt(prompt, device, 1, guided, negative)
    return Conditioning(torch.cat([unconditional, text]) if guided else text, None)


def _encode_sdxl(
    pipe: Any, prompt: str, negative: str | None, width: int, height: int, guided: bool
) -> Conditioning:
    device = _device(pipe)
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


def _encode_ldm(
    pipe: Any, prompt: str, negative: str | None, _width: int, _height: int, guided: bool
) -> Conditioning:
    texts = [negative or "", prompt] if guided else [prompt]
    return Conditioning(torch.cat([_read_by_bert(pipe, text) for text in texts]), None)


def _read_by_bert(pipe: Any, text: str) -> Tensor:
    tokens = pipe.tokenizer(
        text, padding="max_length", max_length=LDM_TOKENS, truncation=True, return_tensors="pt"
    )
    read: Tensor = pipe.bert(tokens.input_ids.to(_device(pipe)))[0]
    return read


def _reveal_sd(pipe: Any, latents: Tensor) -> Tensor:
    return _decoded(pipe.vae, latents / pipe.vae.config.scaling_factor)


def _checked(pipe: Any, images: Tensor) -> Tensor:
    images, flagged = pipe.run_safety_checker(images, images.device, images.dtype)
    if flagged is None:
        return images
    hidden = torch.tensor(flagged, device=images.device).view(-1, 1, 1, 1)
    return torch.where(hidden, -1.0, images)  # the checker leaves zeros, which would be grey


def _reveal_ldm(pipe: Any, latents: Tensor) -> Tensor:
    # As the pipeline rounds it: a product with the inverse is not a quotient.
    return _decoded(pipe.vqvae, 1 / pipe.vqvae.config.scaling_factor * latents)


def _unchanged(_pipe: Any, images: Tensor) -> Tensor:
    return images


def _reveal_sdxl(pipe: Any, latents: Tensor) -> Tensor:
    vae = pipe.vae
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    if not upcast:
        return _decoded(vae, _unscaled(vae.config, latents))
    vae.to(dtype=torch.float32)  # this autoencoder overflows in half precision
    try:
        return _decoded(vae, _unscaled(vae.config, latents.float()))
    finally:
        vae.to(dtype=torch.float16)


def _decoded(vae: Any, latents: Tensor) -> Tensor:
    images: Tensor = vae.decode(latents, return_dict=False)[0]
    return images


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
    "StableDiffusionPipeline": Family(_encode_sd, _reveal_sd, _checked),
    "StableDiffusionXLPipeline": Family(_encode_sdxl, _reveal_sdxl, _watermarked),
    "LDMTextToImagePipeline": Family(_encode_ldm, _reveal_ldm, _unchanged),
}


def is_checked(pipe: Any) -> bool:
    """Return whether something looks at each picture before anybody may see it."""
    return getattr(pipe, "safety_checker", None) is not None


def family_of(pipe: Any) -> Family:
    """Return how to run this pipeline; raises ModelError naming the kinds there are."""
    name = type(pipe).__name__
    if name not in FAMILIES:
        raise ModelError(f"{name} models are not supported; these are: {', '.join(FAMILIES)}")
    return FAMILIES[name]
