"""Load a diffusers model from a folder or the hub, and know exactly which weights it has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from workers.errors import ModelError
from workers.families import Family, family_of
from workers.units import UNetUnits, find_units

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLED = {name: Path(__file__).parent / "demo" / name for name in ("emoji", "emoji-small")}
SAMPLES = 16
SAMPLE_BYTES = 65_536


@dataclass(frozen=True)
class Model:
    """A loaded model: the diffusers pipeline, its family, and the units of its UNet.

    `name` is what requests call it, `revision` a fingerprint of its weights and configuration.
    It stays on its device and in its dtype: to ask diffusers walks the whole UNet.
    """

    name: str
    revision: str
    folder: Path
    pipe: Any
    family: Family
    units: UNetUnits

    @cached_property
    def device(self) -> torch.device:
        """Where the UNet lives."""
        device: torch.device = self.pipe.unet.device
        return device

    @cached_property
    def dtype(self) -> torch.dtype:
        """What the UNet computes in."""
        dtype: torch.dtype = self.pipe.unet.dtype
        return dtype

    @property
    def native_size(self) -> int:
        """The side of the square pictures the model was trained for, in pixels."""
        side: int = self.pipe.unet.config.sample_size * self.pipe.vae_scale_factor
        return side


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def layout_for(device: torch.device) -> torch.memory_format:
    """Return how weights of convolutions lie: as a GPU's tensor cores read them, or as they are."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def default_dtype(device: torch.device) -> torch.dtype:
    """Return half precision on a GPU, single on a CPU (which has no fast half arithmetic)."""
    return torch.float16 if device.type == "cuda" else torch.float32


@torch.inference_mode(mode=False)
def load(
    source: str, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Model:
    """Load a bundled name, a local diffusers folder or a hub id; safetensors weights only.

    The weights take part in gradients even when loaded within inference mode. Raises ModelError in
    one sentence when it is none of these or cannot be run.
    """
    device = device or best_device()
    quiet()
    folder = locate(source)
    try:
        pipe = DiffusionPipeline.from_pretrained(
            folder, use_safetensors=True, dtype=dtype or default_dtype(device)
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{source!r} is not a model this worker can load: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    family = family_of(pipe)
    pipe.to(device)
    pipe.unet.to(memory_format=layout_for(device))
    pipe.unet.requires_grad_(False)  # corrections and influence ask for other gradients
    units = find_units(pipe.unet)
    return Model(_name(source), fingerprint(folder), folder, pipe, family, units)


def locate(source: str) -> Path:
    """Return the folder that holds `source`, downloading a hub id into the hub's cache."""
    for folder in (BUNDLED.get(source), Path(source)):
        if folder is not None and (folder / "model_index.json").is_file():
            return folder
    if Path(source).exists():
        raise ModelError(f"{source!r} has no model_index.json: not a diffusers folder")
    try:
        return Path(DiffusionPipeline.download(source, use_safetensors=True))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{source!r} is neither a bundled model ({', '.join(BUNDLED)}), nor a folder, nor a "
            f"hub id that can be reached from here"
        ) from error


def _name(source: str) -> str:
    return Path(source).resolve().name if Path(source).exists() else source


def quiet() -> None:
    """Keep libraries from logging: what they say of a prompt they cut short contains the prompt."""
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def fingerprint(folder: Path) -> str:
    """Return a hash of all configuration and of evenly spaced samples of all weights.

    Reads at most a megabyte of each file, so that it stays quick for models of many gigabytes.
    """
    digest = hashlib.sha256()
    for path in sorted(_model_files(folder)):
        digest.update(f"{path.relative_to(folder)}:{path.stat().st_size}".encode())
        for chunk in _samples(path):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def _model_files(folder: Path) -> Iterator[Path]:
    index = folder / "model_index.json"
    parts = (path for path in folder.glob("*/*") if path.suffix in {".json", ".safetensors"})
    yield from (index, *(path for path in parts if path.parent.name != "blockcache"))


def _samples(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= SAMPLES * SAMPLE_BYTES:
            yield file.read()
            return
        for i in range(SAMPLES):
            file.seek(i * (size - SAMPLE_BYTES) // (SAMPLES - 1))
            yield file.read(SAMPLE_BYTES)
