"""What a fleet makes when nothing is cached and nothing is hurried: the measure of its load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.cards import WorkerCard

STEPS = 20


@dataclass(frozen=True, slots=True)
class Capacity:
    """Pictures of `steps` uncached steps: how long one takes alone, how many a second are made."""

    steps: int
    predicted_ms: float
    images_per_s: float


def uncached(cards: Sequence[WorkerCard], units: int, steps: int = STEPS) -> Capacity:
    """Return the capacity of workers, each with its best batch, by the times they measured.

    `predicted_ms` is that of the slowest worker.
    """
    runs = [steps] * units
    alone_ms = max(card.costs.total_ms(steps, runs) for card in cards)
    per_s = sum(
        max(1000 * b / card.costs.total_ms(steps, runs, b) for b in range(1, card.max_batch + 1))
        for card in cards
    )
    return Capacity(steps, alone_ms, per_s)
