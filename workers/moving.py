"""Local search whose moves are judged by what they do to the final latents.

From each of the best plans single units are moved, those first that promise most to first order. A
move is taken when the run, with a correction fitted to it, ends closer to the reference than before
at no more cost; the next moves start from there. Plans take turns, so that a time limit is fair.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from schedules.book import Plan, Quality
from schedules.neighbours import neighbours
from workers import calibration_parts as parts
from workers.correcting import Corrected
from workers.quality import METRIC, log_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from workers.correcting import Correcting

TRIES = 6


@dataclass(slots=True)
class _Place:
    """Where the search from one plan is: its best, how far that ends from the reference, moves."""

    plan: Plan
    error: float
    moves: Iterator[Plan]
    has_moved: bool = False


class Moving:
    """Moves plans until a time is up or nothing is left that promises anything.

    `reference` are the final latents of the reference run.
    """

    def __init__(self, correcting: Correcting, reference: Tensor) -> None:
        self._correcting, self._reference = correcting, reference

    def moved(self, best: Sequence[Corrected], minutes: float) -> list[Plan]:
        """Return the plans that came closer than those they began from."""
        seconds, start = minutes * 60, monotonic()
        places = [self._place(one) for one in best]
        turns = list(places)
        while turns and (spent := monotonic() - start) < seconds:
            self._correcting.progress("moves", int(spent), int(seconds))
            turns = [*turns[1:], *([turns[0]] if self._tried(turns[0]) else [])]
        self._correcting.progress("moves", int(seconds), int(seconds))
        return [place.plan for place in places if place.has_moved]

    def _place(self, one: Corrected) -> _Place:
        return _Place(one.plan, self._error(one.plan), self._moves(one.plan))

    def _moves(self, plan: Plan) -> Iterator[Plan]:
        """Give plans one move away; what that is to first order is measured when it is wanted."""
        correcting = self._correcting
        graph, stage = correcting.model.units.graph, correcting.costs.at(1)
        influence = correcting.along(0, Corrected(plan, correcting.correction_of(plan)))
        most_rows = correcting.settings.most_rows or plan.steps
        for schedule in neighbours(influence, graph, stage, plan.schedule, TRIES):
            if len(set(schedule.computes)) > most_rows:
                continue
            rule, quality = f"{plan.rule.removesuffix('-m')}-m", Quality(METRIC, 0.0)
            yield Plan.of(plan.solver, rule, schedule, graph, quality)

    def _tried(self, place: _Place) -> bool:
        """Judge the next move of a plan; return whether there was one."""
        plan = next(place.moves, None)
        if plan is None:
            return False
        error = self._error(plan)
        if error < place.error:
            place.plan, place.error, place.has_moved = plan, error, True
            place.moves = self._moves(plan)
        return True

    def _error(self, plan: Plan) -> float:
        """Return how far the corrected run ends from the reference, mean over pictures of logs."""
        correcting = self._correcting
        correction = correcting.correction_of(plan)

        def measured() -> float:
            count = len(self._reference)
            latents = correcting.studio.latents(plan.solver, plan.schedule, count, correction)
            return log_error(latents, self._reference.to(latents))

        return correcting.keep(parts.closeness(plan), measured)
