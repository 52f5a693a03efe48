"""How good a model is: what there is to know of it in a few minutes on a CPU.

All pictures are generated alike (`generating`). The captions of 200 training pictures tell how well
a model draws what it has seen, those of the held-out pictures whether it can draw a known emoji in
a style in which it has never seen it. Beside every figure of generated pictures stands the same
figure of real ones, the best there could be.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from workers.demo.figures import Figures, Memory, Reconstruction
from workers.demo.generating import generate
from workers.demo.memory import copy_threshold, nearest, nearness
from workers.demo.recognising import recognised
from workers.demo.sampling import sample
from workers.demo.sheets import grid_prompts, grid_sheet, pair_sheet
from workers.quality import PerceptualDistance, psnr_db

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workers.demo.dataset import Dataset
    from workers.demo.memory import Nearest
    from workers.demo.sampling import Progress, Sample, Views
    from workers.pipeline import Model

    Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Extent:
    """How many captions of training and of held-out pictures, and prompts of the grid, at most."""

    known: int = 200
    unseen: int = 200
    shown: int = 64


FULL = Extent()


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """The figures of a model, and sheets of pictures by name, H × W × 3 each."""

    figures: Figures
    sheets: dict[str, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """The nearest training pictures of generated, held-out and other training pictures."""

    known: Nearest
    unseen: Nearest
    real: Nearest
    others: Nearest


def measure(
    model: Model, dataset: Dataset, progress: Progress, extent: Extent = FULL
) -> Measurement:
    """Measure a model on a dataset of its own size; the same every time on one machine.

    The dataset is what the model was to learn from, with at least one picture held out.
    `progress(stage, done, total)` is told how far it is.
    """
    training, held_out = dataset.training, dataset.held_out
    known = sample(model, training, extent.known, "known", progress)
    unseen = sample(model, held_out, extent.unseen, "unseen", progress)
    prompts = grid_prompts()[: extent.shown]
    shown = generate(model, prompts, range(len(prompts)), partial(progress, "grid"))
    distance = PerceptualDistance(model.device)
    near = _near(known, unseen, training, distance, progress)
    retrieval, frechet = recognised(known, unseen, training, distance, progress)
    figures = Figures(
        side=model.native_size,
        training=len(training.entries),
        held_out=len(held_out.entries),
        reconstruction=Reconstruction(_psnr_db(known.pictures), _psnr_db(unseen.pictures)),
        retrieval=retrieval,
        frechet=frechet,
        memory=_memory(near, known, distance),
    )
    return Measurement(figures, _sheets(shown, known, unseen, near, training.pictures))


def _psnr_db(pictures: Views) -> float:
    return float(psnr_db(pictures.real, pictures.reconstructed).mean())


def _near(
    known: Sample,
    unseen: Sample,
    training: Dataset,
    distance: PerceptualDistance,
    progress: Progress,
) -> _Near:
    one, other = known.pictures, unseen.pictures
    asked = [one.generated, other.generated, other.real, one.real]
    counts = [len(pictures) for pictures in asked]
    own = np.full(sum(counts), -1, np.intp)
    own[-len(known.positions) :] = known.positions
    found = nearest(
        np.concatenate(asked), training.pictures, own, distance, partial(progress, "memory")
    )
    return _Near(*found.split(counts))


def _memory(near: _Near, known: Sample, distance: PerceptualDistance) -> Memory:
    threshold = copy_threshold(known.pictures.real, known.pictures.reconstructed, distance)
    return Memory(
        threshold=threshold,
        named=float((near.known.positions == known.positions).mean()),
        known=nearness(near.known.distances, threshold),
        unseen=nearness(near.unseen.distances, threshold),
        real=nearness(near.real.distances, threshold),
        others=nearness(near.others.distances, threshold),
    )


def _sheets(
    shown: Pixels, known: Sample, unseen: Sample, near: _Near, training: Pixels
) -> dict[str, Pixels]:
    made = np.concatenate([known.pictures.generated, unseen.pictures.generated])
    distances = np.concatenate([near.known.distances, near.unseen.distances])
    positions = np.concatenate([near.known.positions, near.unseen.positions])
    order = np.argsort(distances)
    return {
        "grid": grid_sheet(shown),
        "known": pair_sheet(known.pictures.real, known.pictures.generated),
        "unseen": pair_sheet(unseen.pictures.real, unseen.pictures.generated),
        "nearest": pair_sheet(made[order], training[positions[order]]),
    }
