"""Measure an exported model and write its card and sheets beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from workers.demo.card import write_card
from workers.demo.checkpoints import steps_done
from workers.demo.measuring import FULL, measure
from workers.demo.sheets import save_sheets
from workers.pipeline import load

if TYPE_CHECKING:
    from pathlib import Path

    from workers.demo.making import Workshop
    from workers.demo.measuring import Extent


RECORD = "training.json"


def record(workshop: Workshop, folder: Path) -> None:
    """Write beside a model that was just made how it was trained."""
    text = json.dumps(facts(workshop), indent=1, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n")


def describe(workshop: Workshop, folder: Path, extent: Extent = FULL) -> bool:
    """Write figures.json and the sheets of the model in a folder, and its README.md, LICENSES.md.

    Returns whether the last two were written: the card of a model that has no record of this
    program's training is left as it is. Raises ModelError when the folder holds no model.
    """
    model = load(str(folder), device=workshop.device)
    measured = measure(model, workshop.pictures(), workshop.progress, extent)
    save_sheets(measured.sheets, folder)
    figures = json.dumps(measured.figures.to_dict(), indent=1)
    (folder / "figures.json").write_text(figures + "\n")
    if not (folder / RECORD).is_file():
        return False
    write_card(measured.figures, json.loads((folder / RECORD).read_text()), folder)
    return True


def facts(workshop: Workshop) -> dict[str, str]:
    """Return in words how a workshop's model was trained, by its training states."""
    preset, begun = workshop.preset, workshop.begin_with
    crops = f"{preset.autoencoder.batch} crops {preset.crop}×{preset.crop}"
    learnt = f"{steps_done(workshop.state('autoencoder')):,} steps of {crops}"
    steps = f"{steps_done(workshop.state('unet')):,} steps of {preset.diffusion.batch} pictures"
    recalled = f"{steps_done(workshop.state('text')):,} steps of {preset.text.batch} captions"
    return {
        "autoencoder": f"that of {begun.name}" if begun else learnt,
        "text encoder": f"that of {begun.name}" if begun else recalled,
        "UNet, text encoder with it": f"{steps}, begun with {begun.name}" if begun else steps,
        "groups left out": ", ".join(sorted(preset.left_out)) or "none",
    }
