"""Captions of real pictures, drawn evenly, and what a model makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workers.demo.captions import canonical
from workers.demo.generating import generate, reconstruct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from workers.demo.dataset import Dataset, Entry
    from workers.pipeline import Model

    Progress = Callable[[str, int, int], None]

SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Of N captions the real pictures, these through the autoencoder, and generated ones.

    Each is N × S × S × 3 pixels, or N × D features.
    """

    real: NDArray[Any]
    reconstructed: NDArray[Any]
    generated: NDArray[Any]

    def through(self, look: Callable[[NDArray[Any]], NDArray[Any]]) -> Views:
        """Return what `look` makes of each of the three."""
        return Views(look(self.real), look(self.reconstructed), look(self.generated))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """N entries of a dataset, their positions in it, and their pictures."""

    positions: NDArray[np.intp]
    entries: tuple[Entry, ...]
    pictures: Views


def sample(model: Model, data: Dataset, count: int, name: str, progress: Progress) -> Sample:
    """Let a model draw the canonical captions of up to `count` entries, seeds from 0 upwards."""
    positions = drawn(data.entries, count)
    entries = tuple(data.entries[i] for i in positions)
    real = data.pictures[positions]
    copies = reconstruct(model, real, partial(progress, f"{name}: reconstruct"))
    captions = [canonical(entry) for entry in entries]
    made = generate(model, captions, range(len(captions)), partial(progress, f"{name}: generate"))
    return Sample(positions, entries, Views(real, copies, made))


def drawn(entries: Sequence[Entry], count: int) -> NDArray[np.intp]:
    """Return positions of up to `count` entries, always the same: styles in turn, no emoji twice.

    A style that has no other emoji left misses its turn.
    """
    order = np.random.default_rng(SEED).permutation(len(entries)).tolist()
    styles = sorted({entry.style for entry in entries})
    queues = [iter([i for i in order if entries[i].style == style]) for style in styles]
    chosen: dict[str, int] = {}
    for turn in range(count):
        queue = queues[turn % len(queues)]
        new = next((i for i in queue if entries[i].key not in chosen), None)
        if new is not None:
            chosen[entries[new].key] = new
    return np.asarray(list(chosen.values()), np.intp)
