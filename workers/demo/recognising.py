"""What is to be seen in generated pictures and in real ones, from features of whole pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from workers.demo.augmenting import changed
from workers.demo.figures import Frechet, Retrieval
from workers.demo.retrieval import Classifier
from workers.frechet import DIMENSIONS, frechet_distance, principal_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workers.demo.dataset import Dataset
    from workers.demo.sampling import Progress, Sample, Views
    from workers.quality import PerceptualDistance

BATCH = 16
SEED = 0


def recognised(
    known: Sample,
    unseen: Sample,
    training: Dataset,
    distance: PerceptualDistance,
    progress: Progress,
) -> tuple[Retrieval, Frechet]:
    """Return what a classifier sees in the pictures and how far apart their features lie."""

    def look(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        batches = (pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH))
        return np.concatenate([distance.pooled(batch) for batch in batches])

    classifier, axes = _learnt(training, distance, progress)
    one, other = known.pictures.through(look), unseen.pictures.through(look)
    retrieval = Retrieval(
        known=classifier.judge(one.generated, known.entries),
        reconstructed=classifier.judge(one.reconstructed, known.entries),
        unseen=classifier.judge(other.generated, unseen.entries),
        real=classifier.judge(other.real, unseen.entries),
    )
    frechet = _frechet(one.through(lambda x: x @ axes), other.through(lambda x: x @ axes))
    return retrieval, frechet


def _learnt(
    training: Dataset, distance: PerceptualDistance, progress: Progress
) -> tuple[Classifier, NDArray[np.float64]]:
    """Return a classifier and the principal axes of features, both of training pictures."""
    generator = torch.Generator().manual_seed(SEED)
    plain, altered = [], []
    for i in range(0, len(training.pictures), BATCH):
        batch = training.pictures[i : i + BATCH]
        plain.append(distance.pooled(batch))
        altered.append(distance.pooled(changed(batch, generator)))
        progress("classifier", i + len(batch), len(training.pictures))
    features = np.concatenate([*plain, *altered])
    classifier = Classifier.learnt(features, training.entries * 2)
    return classifier, principal_axes(np.concatenate(plain), DIMENSIONS)


def _frechet(known: Views, unseen: Views) -> Frechet:
    return Frechet(
        known=frechet_distance(known.generated, known.real),
        reconstructed=frechet_distance(known.reconstructed, known.real),
        unseen=frechet_distance(unseen.generated, unseen.real),
        real=frechet_distance(known.real, unseen.real),
        dimensions=known.real.shape[1],
    )
