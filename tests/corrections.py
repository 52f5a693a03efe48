"""Corrections for tests: random ones, of any frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workers.correction import Correction, Origin
from workers.fixes import identity

if TYPE_CHECKING:
    from workers.pipeline import Model
    from workers.sampler import Frame


def no_correction(model: Model, frame: Frame, kind: str = "closed-form") -> Correction:
    """Return the correction of a frame that changes nothing."""
    return identity(Origin.of(model, frame, kind), frame.schedule, model.units)


def a_correction(model: Model, frame: Frame, kind: str = "closed-form") -> Correction:
    """Return a random correction of a frame."""
    generator = torch.Generator().manual_seed(3)
    plain = no_correction(model, frame, kind)
    terms = {
        name: 0.3 * torch.randn(table.shape, generator=generator)
        for name, table in plain.terms.items()
    }
    return Correction.of(plain.origin, terms)
