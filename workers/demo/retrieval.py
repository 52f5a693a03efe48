"""Can one see which emoji a picture shows? A classifier that learns from real pictures alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workers.demo.figures import Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workers.demo.dataset import Entry

SHRINKAGE = 0.1
AMONG = 100
SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Discriminant:
    """Scores of K labels, linear in D features.

    Fisher's linear discriminant (1936): every label has a mean, all share one covariance, which is
    shrunk towards a multiple of the identity so that it can be inverted.
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]

    @classmethod
    def learnt(cls, features: NDArray[np.float64], labels: Sequence[str]) -> Discriminant:
        """Fit to N × D features and their N labels."""
        names, which = np.unique(np.asarray(labels), return_inverse=True)
        means = np.zeros((len(names), features.shape[1]))
        np.add.at(means, which, features)
        means /= np.bincount(which)[:, None]
        inverse = np.linalg.inv(_shrunk_covariance(features - means[which]))
        weights = inverse @ means.T
        return cls(tuple(names.tolist()), weights, -0.5 * (means.T * weights).sum(0))

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return N × K scores, the highest for the likeliest label."""
        return np.asarray(features @ self.weights + self.offsets)

    def positions(self, labels: Sequence[str]) -> NDArray[np.intp]:
        """Return where labels stand among the columns of scores; raises KeyError."""
        columns = {label: i for i, label in enumerate(self.labels)}
        return np.asarray([columns[label] for label in labels], np.intp)


def _shrunk_covariance(deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    covariance = deviations.T @ deviations / len(deviations)
    size = len(covariance)
    level = max(np.trace(covariance) / size, np.finfo(np.float64).eps)
    return np.asarray((1 - SHRINKAGE) * covariance + SHRINKAGE * level * np.eye(size))


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """Tells which emoji and which style pictures show, by their pooled features."""

    keys: Discriminant
    styles: Discriminant

    @classmethod
    def learnt(cls, features: NDArray[np.float64], entries: Sequence[Entry]) -> Classifier:
        """Learn from N real pictures, N × D features."""
        return cls(
            Discriminant.learnt(features, [entry.key for entry in entries]),
            Discriminant.learnt(features, [entry.style for entry in entries]),
        )

    def judge(self, features: NDArray[np.float64], entries: Sequence[Entry]) -> Found:
        """Return in how many of N pictures it sees what they should show.

        Each picture's emoji has to be found among AMONG: itself and others drawn for it, always
        the same ones.
        """
        right = self.keys.positions([entry.key for entry in entries])
        among = min(AMONG, len(self.keys.labels))
        ranks = _ranks(self.keys.scores(features), right, among)
        styles = self.styles.positions([entry.style for entry in entries])
        return Found(
            pictures=len(features),
            among=among,
            top1=float((ranks < 1).mean()),
            top5=float((ranks < 5).mean()),
            style=float((self.styles.scores(features).argmax(1) == styles).mean()),
        )


def _ranks(scores: NDArray[np.float64], right: NDArray[np.intp], among: int) -> NDArray[np.intp]:
    """Return for each row how many of `among` - 1 other columns score at least as high."""
    rng = np.random.default_rng(SEED)
    ranks = []
    for row, own in zip(scores, right, strict=True):
        drawn = rng.choice(len(row) - 1, among - 1, replace=False)
        others = drawn + (drawn >= own)
        ranks.append(int((row[others] >= row[own]).sum()))
    return np.asarray(ranks, np.intp)
