"""From trained parts to a diffusers folder, and to a model that can draw at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from workers.demo.errors import UnusableParts
from workers.demo.networks import noise_schedule
from workers.families import family_of
from workers.pipeline import Model
from workers.units import find_units

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


@dataclass(frozen=True, slots=True)
class Parts:
    """The trained parts of a model."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer

    def pipeline(self) -> Any:
        """Return a StableDiffusionPipeline that shares these parts."""
        return StableDiffusionPipeline(
            vae=self.vae,
            unet=self.unet,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            scheduler=noise_schedule(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def model(self, folder: Path) -> Model:
        """Return a model that draws with these parts as they are now."""
        pipe = self.pipeline()
        return Model(folder.name, "", folder, pipe, family_of(pipe), find_units(self.unet))

    def teach(self, networks: nn.ModuleDict) -> None:
        """Give UNet and text encoder to untrained ones; raises UnusableParts for other shapes."""
        try:
            networks["unet"].load_state_dict(self.unet.state_dict())
            networks["text"].load_state_dict(self.text_encoder.state_dict())
        except RuntimeError as error:
            raise UnusableParts(
                "the model to begin with has another shape than the preset"
            ) from error

    def export(self, folder: Path) -> None:
        """Write a diffusers folder with half-precision safetensors; the parts become half too."""
        pipe = self.pipeline().to(torch.float16)
        pipe.save_pretrained(folder, safe_serialization=True)


def read_parts(folder: Path) -> Parts:
    """Read the parts of an exported folder in single precision; raises UnusableParts."""
    kinds = {
        "vae": AutoencoderKL,
        "unet": UNet2DConditionModel,
        "text_encoder": CLIPTextModel,
        "tokenizer": CLIPTokenizer,
    }
    try:
        found = {name: _read(kind, folder / name) for name, kind in kinds.items()}
    except (OSError, ValueError) as error:
        raise UnusableParts(f"{folder} is not a model this program exported: {error}") from error
    return Parts(**found)


def _read(kind: Any, folder: Path) -> Any:
    if kind is CLIPTokenizer:
        return kind.from_pretrained(folder, local_files_only=True)
    return kind.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
