"""How good a model is, in numbers: what `measure` finds and a model card shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Mean PSNR in dB of pictures that went through the autoencoder and back."""

    training_db: float
    held_out_db: float


@dataclass(frozen=True, slots=True)
class Found:
    """Shares of N pictures in which a classifier sees what they should show.

    `top1`, `top5`: the right emoji is its first guess, among its first five, of `among` emoji;
    `style`: the style is right.
    """

    pictures: int
    among: int
    top1: float
    top5: float
    style: float


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What the classifier finds in generated pictures, and in the best there could be.

    `known` and `unseen` are generated from captions of training and held-out pictures;
    `reconstructed` are those training pictures through the autoencoder, `real` those held-out
    pictures as they are, which the classifier has not seen either.
    """

    known: Found
    reconstructed: Found
    unseen: Found
    real: Found


@dataclass(frozen=True, slots=True)
class Frechet:
    """Fréchet distances between sets of pictures, in `dimensions` principal axes of features.

    `known` and `unseen`: pictures generated from captions of training and held-out pictures, to
    those pictures; `reconstructed`: those training pictures through the autoencoder, to
    themselves; `real`: those training pictures to those held-out ones.
    """

    known: float
    reconstructed: float
    unseen: float
    real: float
    dimensions: int


@dataclass(frozen=True, slots=True)
class Nearness:
    """Perceptual distances of N pictures to their nearest training picture.

    `low`, `middle` and `high` are the 10th, 50th and 90th percentile; `near_copies` is the share
    within the threshold of a copy.
    """

    pictures: int
    low: float
    middle: float
    high: float
    near_copies: float


@dataclass(frozen=True, slots=True)
class Memory:
    """How near pictures come to training pictures.

    `threshold`: nine of ten training pictures are nearer than this to what the autoencoder makes
    of them; `named`: the share of pictures generated from captions of training pictures whose
    nearest training picture is the caption's. `known` and `unseen` are pictures generated from
    captions of training and held-out pictures, `real` those held-out pictures, `others` those
    training pictures, to the nearest other training picture.
    """

    threshold: float
    named: float
    known: Nearness
    unseen: Nearness
    real: Nearness
    others: Nearness


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a model; `training` and `held_out` count pictures of side × side pixels."""

    side: int
    training: int
    held_out: int
    reconstruction: Reconstruction
    retrieval: Retrieval
    frechet: Frechet
    memory: Memory

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)
