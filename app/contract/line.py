"""Who waits for a worker, as the queue shows it to those who choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schedules.sharing import Arrival, Waiting


@dataclass(frozen=True, slots=True)
class Queued:
    """A waiting job as the queue knows it; those of one class can run as one batch."""

    id: str
    batch_class: str
    waiting: Waiting
    predicted_ms: float


@dataclass(frozen=True, slots=True)
class Line:
    """The most urgent of those who wait in a lane, in deadline order, and what came of late.

    `workers` counts live workers of the lane, this one included.
    """

    queued: tuple[Queued, ...]
    arrivals: tuple[Arrival, ...] = ()
    workers: int = 1
