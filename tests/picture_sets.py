"""Small picture sets on disk: one grey a method, so that a picture tells who made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.picture_sets import (
    MANIFEST,
    Comparison,
    Pictured,
    PictureSet,
    Request,
    new_file,
)
from tests.integration.fake_worker import a_png

if TYPE_CHECKING:
    from pathlib import Path

GREYS = {"cached": 60, "uncached": 200}


def a_set(requests: int = 10, prompts: int = 10) -> PictureSet:
    """Return a set of two methods that are compared once, on requests with so many prompts."""
    return PictureSet(
        id="a-set",
        question="Which picture do you like better?",
        requests=tuple(Request(f"thing {n % prompts}", n) for n in range(requests)),
        methods=tuple(
            Pictured(name, 10.0, tuple(new_file() for _ in range(requests))) for name in GREYS
        ),
        comparisons=(Comparison(0, 1),),
    )


def write_set(folder: Path, pictures: PictureSet) -> PictureSet:
    """Write a set with its pictures."""
    for method in pictures.methods:
        for name in method.files:
            (folder / name).write_bytes(a_png(GREYS[method.name], 64, 64))
    (folder / MANIFEST).write_text(pictures.encode())
    return pictures
