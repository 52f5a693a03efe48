"""A picture set on disk, and the order in which one annotator sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.contract.errors import DecodeError
from app.contract.picture_sets import MANIFEST, Pair, PictureSet
from app.judge.errors import JudgeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair as one annotator sees it: whether the first method's picture is on the left."""

    pair: Pair
    first_is_left: bool


def read_set(folder: Path) -> PictureSet:
    """Read a set; raises JudgeError when its manifest or a picture is missing or wrong."""
    try:
        found = PictureSet.decode((folder / MANIFEST).read_text("utf-8"))
    except (OSError, UnicodeError, DecodeError) as error:
        raise JudgeError(
            f"{folder} is no picture set: {error}; make one: blockcache judge make"
        ) from error
    files = (name for method in found.methods for name in method.files)
    if missing := next((name for name in files if not (folder / name).is_file()), None):
        raise JudgeError(f"the picture set {folder} is not complete: {missing} is missing")
    return found


def order(pairs: Sequence[Pair], seed: str) -> tuple[Shown, ...]:
    """Return all pairs in an annotator's own order, each with its side; the same for one seed."""
    drawn = sorted((_drawn(seed, pair), pair) for pair in pairs)
    return tuple(Shown(pair, bool(digest[-1] & 1)) for digest, pair in drawn)


def _drawn(seed: str, pair: Pair) -> bytes:
    text = f"{seed}/{pair.comparison}/{pair.request}"
    return hashlib.sha256(text.encode()).digest()
