"""The end of a job as its caller waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.contract.jobs import Outcome


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended, with its pictures in the order of their seeds, where they were asked for."""

    outcome: Outcome
    images: tuple[bytes, ...] = ()
