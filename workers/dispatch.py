"""What a free worker takes of those who wait, and how good it may make that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schedules.batching import compose, turn
from schedules.replanning import Aim
from schedules.sharing import expected

if TYPE_CHECKING:
    from app.contract.line import Line
    from schedules.sharing import Ladder


@dataclass(slots=True)
class Dispatch:
    """Chooses a batch when it is shown the line, and remembers the aim of what it chose.

    With `upgrade` jobs are made better than promised when nobody else waits.
    """

    ladder: Ladder
    upgrade: bool = True
    aim: Aim = field(default_factory=Aim)

    def __call__(self, line: Line) -> list[str]:
        """Return the ids of the jobs to run as one batch."""
        queued, coming = line.queued, expected(line.arrivals)
        first = turn([job.waiting for job in queued], self.ladder)
        kind = queued[first].batch_class
        mates = [job for job in queued[first:] if job.batch_class == kind]
        others = [j.waiting for i, j in enumerate(queued) if i < first or j.batch_class != kind]
        waiting = [job.waiting for job in mates]
        parts = (waiting, others, coming, self.ladder, line.workers)
        batch = compose(*parts, upgrade=self.upgrade)
        self.aim = Aim(batch.limit, batch.up)
        return [job.id for job in mates[: batch.size]]
