"""The end of a job as its caller waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.values import Value

if TYPE_CHECKING:
    from app.contract.jobs import Outcome


class Ended(Value, frozen=True):
    """How a job ended, with its pictures in the order of their seeds, where they were asked for."""

    outcome: Outcome
    images: tuple[bytes, ...] = ()
