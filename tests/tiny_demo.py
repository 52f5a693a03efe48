"""A demonstration model so small that it trains within a test, and pictures for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from workers.demo.dataset import Dataset, Entry
from workers.demo.making import Workshop
from workers.demo.presets import Course, Preset

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 16
COLOURS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 220)}
TINY = Preset(
    side=SIDE,
    latent_channels=4,
    autoencoder_channels=(8, 8, 8),
    crop=8,
    autoencoder=Course(3, 4, 1e-3, 1, 0.5),
    unet_channels=(16, 16),
    unet_layers=1,
    heads=2,
    text_width=16,
    text_layers=1,
    vocabulary=560,
    text=Course(3, 4, 1e-3, 1, 0.5),
    diffusion=Course(3, 4, 1e-3, 1, 0.5),
    left_out=frozenset({"People & Body"}),
)


def pictures() -> Dataset:
    """Return plain squares named by their colour, one style held out, and one person."""
    entries = [_entry(name, style) for name in COLOURS for style in ("3d", "flat")]
    shades = [COLOURS[entry.name] for entry in entries]
    drawn = np.stack([np.full((SIDE, SIDE, 3), shade, np.uint8) for shade in shades])
    person = Entry("1f9d1", "person", "People & Body", (), "3d", held_out=False)
    return Dataset(np.concatenate([drawn, drawn[:1]]), (*entries, person))


def _entry(name: str, style: str) -> Entry:
    return Entry(
        name, name, "Symbols", ("square",), style, held_out=(name, style) == ("blue", "3d")
    )


def workshop(work: Path, preset: Preset = TINY, begin_with: Path | None = None) -> Workshop:
    """Return a workshop whose pictures are already there."""
    pictures().save(work / f"pictures-{SIDE}.safetensors")
    device = torch.device("cpu")
    return Workshop(preset, work, device, lambda *_: None, begin_with)
