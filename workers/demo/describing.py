"""Measure an exported model and write its card and sheets beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from workers.demo.card import write_card
from workers.demo.measuring import FULL, measure
from workers.demo.sheets import save_sheets
from workers.pipeline import load

if TYPE_CHECKING:
    from pathlib import Path

    from workers.demo.making import Workshop
    from workers.demo.measuring import Extent
    from workers.demo.presets import Preset


def describe(workshop: Workshop, folder: Path, extent: Extent = FULL) -> None:
    """Write README.md, LICENSES.md, figures.json and the sheets of the model in a folder.

    Raises ModelError when the folder holds no model.
    """
    model = load(str(folder), device=workshop.device)
    measured = measure(model, workshop.pictures(), workshop.progress, extent)
    save_sheets(measured.sheets, folder)
    figures = json.dumps(measured.figures.to_dict(), indent=1)
    (folder / "figures.json").write_text(figures + "\n")
    write_card(measured.figures, facts(workshop.preset), folder)


def facts(preset: Preset) -> dict[str, str]:
    """Return in words how a preset trains."""
    vae, unet = preset.autoencoder, preset.diffusion
    return {
        "autoencoder": f"{vae.steps:,} steps of {vae.batch} crops {preset.crop}×{preset.crop}",
        "UNet and text encoder": f"{unet.steps:,} steps of {unet.batch} pictures",
        "groups left out": ", ".join(sorted(preset.left_out)) or "none",
    }
