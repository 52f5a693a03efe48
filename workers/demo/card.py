"""A model's README.md and LICENSES.md: what it is, what it learnt from, how good it is."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from workers.demo.generating import GUIDANCE, STEPS
from workers.demo.parts import describe_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from workers.demo.figures import Figures, Found, Nearness

NONE = "—"


def write_card(figures: Figures, facts: Mapping[str, str], folder: Path) -> None:
    """Write README.md and LICENSES.md into the folder of an exported model.

    `facts` are rows of the table of training: what, and how much. The README shows "grid.png",
    which `save_sheets` writes. Raises OSError when the folder holds no model.
    """
    texts = files("workers.demo")
    card = Template(texts.joinpath("card.md").read_text())
    words = {
        "name": folder.name,
        "parts": _table(describe_parts(folder)),
        "facts": _table(facts.items()),
    }
    (folder / "README.md").write_text(card.substitute(words | _numbers(figures)))
    (folder / "LICENSES.md").write_text(texts.joinpath("licenses.md").read_text())


def _table(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _numbers(figures: Figures) -> dict[str, str]:
    memory, among = figures.memory, figures.retrieval.known.among
    return {
        "side": str(figures.side),
        "training": f"{figures.training:,}",
        "held_out": f"{figures.held_out:,}",
        "steps": str(STEPS),
        "guidance": f"{GUIDANCE:g}",
        "figures": _table(_rows(figures)),
        "among": str(among),
        "chance": f"{1 / among:.0%}",
        "dimensions": str(figures.frechet.dimensions),
        "threshold": f"{memory.threshold:.2f}",
        "copies": f"{memory.known.near_copies:.0%}",
        "named": f"{memory.named:.0%}",
        "training_db": f"{figures.reconstruction.training_db:.1f}",
        "held_out_db": f"{figures.reconstruction.held_out_db:.1f}",
    }


def _rows(figures: Figures) -> list[tuple[str, ...]]:
    found, frechet, memory = figures.retrieval, figures.frechet, figures.memory
    return [
        (
            f"generated from captions of {found.known.pictures} training pictures",
            *_found(found.known),
            f"{frechet.known:.0f}",
            *_near(memory.known),
        ),
        (
            "those training pictures through the autoencoder",
            *_found(found.reconstructed),
            f"{frechet.reconstructed:.0f}",
            NONE,
            NONE,
        ),
        (
            f"generated from {found.unseen.pictures} held-out captions",
            *_found(found.unseen),
            f"{frechet.unseen:.0f}",
            *_near(memory.unseen),
        ),
        (
            "those held-out pictures",
            *_found(found.real),
            f"{frechet.real:.0f}",
            *_near(memory.real),
        ),
        ("those training pictures, to another", NONE, NONE, NONE, NONE, *_near(memory.others)),
    ]


def _found(found: Found) -> tuple[str, str, str]:
    return f"{found.top1:.0%}", f"{found.top5:.0%}", f"{found.style:.0%}"


def _near(near: Nearness) -> tuple[str, str]:
    return f"{near.middle:.2f}", f"{near.near_copies:.0%}"
