"""Whom a worker takes of those who wait, and how good it may make that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schedules.batching import compose, turn
from schedules.pausing import ceiling_over, sooner
from schedules.replanning import Aim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.contract.line import Line, Queued
    from schedules.ladder import Ladder
    from schedules.pausing import Underway
    from schedules.sharing import Waiting


def no_room(_images: int) -> int:
    """Let nobody come before a batch that runs."""
    return 0


@dataclass(slots=True)
class Dispatch:
    """Chooses a batch for a free worker, shown the line, and remembers the aim of what it chose.

    With `upgrade` jobs are made better than promised when nobody else waits. No time is left for
    those who can come before the batch while it runs: there is `room` for so many pictures beside
    one of so many.
    """

    ladder: Ladder
    upgrade: bool = True
    room: Callable[[int], int] = no_room
    aim: Aim = field(default_factory=Aim)

    def __call__(self, line: Line) -> list[str]:
        """Return the ids of the jobs to run as one batch."""
        first = turn([job.waiting for job in line.queued], self.ladder)
        mates, others = _alike(line.queued, first)
        waiting, coming = [job.waiting for job in mates], line.coming
        parts = (waiting, others, coming, self.ladder, line.workers)
        batch = compose(*parts, upgrade=self.upgrade)
        self.aim = Aim(batch.limit, batch.up)
        members = waiting[: batch.size]
        if self.room(sum(member.images for member in members)) > 0:
            rest = [*waiting[batch.size :], *others, *coming]
            over = ceiling_over(members, rest, self.ladder, line.workers)
            self.aim = Aim(max(batch.limit, self.ladder.limit(over)), batch.up)
        return [job.id for job in mates[: batch.size]]


@dataclass(slots=True)
class Sooner:
    """Chooses a batch that comes before the rest of a run, and remembers its aim."""

    ladder: Ladder
    run: Underway
    aim: Aim = field(default_factory=Aim)

    def __call__(self, line: Line) -> list[str]:
        """Return the ids of the jobs to run as one batch, none where nobody has to come first."""
        first = turn([job.waiting for job in line.queued], self.ladder)
        if line.queued[first].waiting.left_ms >= self.run.left_ms:
            return []
        mates, others = _alike(line.queued, first)
        waiting = [job.waiting for job in mates if job.waiting.left_ms < self.run.left_ms]
        others += [job.waiting for job in mates[len(waiting) :]]
        parts = (waiting, others, line.coming, self.ladder, self.run, line.workers)
        batch = sooner(*parts)
        self.aim = Aim(batch.limit if batch else float("inf"))
        return [job.id for job in mates[: batch.size]] if batch else []


def _alike(queued: Sequence[Queued], first: int) -> tuple[list[Queued], list[Waiting]]:
    """Return those from the first on that can run with it, and all others."""
    kind = queued[first].batch_class
    mates = [job for job in queued[first:] if job.batch_class == kind]
    others = [j.waiting for i, j in enumerate(queued) if i < first or j.batch_class != kind]
    return mates, others
