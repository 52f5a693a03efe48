"""What becomes of one Poisson load under a policy, with the plans of the bundled model."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from app.capacity import uncached
from schedules.cost import CostModel, StageCosts
from tests import bundled
from tests.builders import a_card
from tests.load_simulation import OVERHEAD_MS, Request, poisson, quality
from tests.stepwise.joining import Joining, RaggedJoining
from tests.stepwise.pausing import Pausing
from tests.stepwise.service import Stepwise

if TYPE_CHECKING:
    from collections.abc import Sequence

BOOK = bundled.book()
MEASURED = bundled.costs()
# Budgets in times of the 20-step uncached run, each as likely.
BUDGETS = (1.0, 2.5, 10.0)
POLICIES: dict[str, type[Stepwise]] = {
    "plain": Stepwise,
    "pausing": Pausing,
    "joining": Joining,
    "ragged": RaggedJoining,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of all requests, the mean quality of those answered, and how often a policy acted.

    `worth` is the mean quality of all requests, where one that was not answered in time has none.
    """

    in_time: float
    quality: float
    worth: float
    late: int
    changes: int = 0

    @classmethod
    def of(cls, requests: Sequence[Request], changes: int = 0) -> Outcome:
        answered = [r for r in requests if r.ended_ms is not None]
        kept = [r for r in answered if (r.ended_ms or 0.0) <= r.deadline_ms + OVERHEAD_MS]
        worth = sum(map(quality, kept)) / len(requests)
        share, late = len(kept) / len(requests), len(answered) - len(kept)
        return cls(share, fmean(map(quality, answered)), worth, late, changes)


def costs_of(kind: str) -> CostModel:
    """Return the measured costs for "cpu", else such that 4 pictures take so many times one."""
    if kind == "cpu":
        return MEASURED
    one = MEASURED.at(1)
    return CostModel(((1, one), (4, _scaled(one, float(kind)))))


def _scaled(costs: StageCosts, times: float) -> StageCosts:
    return StageCosts(
        costs.encode_ms * times,
        costs.start_ms * times,
        costs.fixed_ms * times,
        tuple(ms * times for ms in costs.unit_ms),
        costs.decode_ms * times,
        costs.png_ms * times,
    )


def outcome(
    policy: type[Stepwise], costs: CostModel, load: float, seed: int, seconds: float
) -> tuple[Outcome, Outcome]:
    """Serve a multiple of what uncached runs could; return what came of it all and of half two."""
    card = a_card("w0", costs=costs)
    capacity = uncached([card], len(BOOK.graph))
    budgets = [capacity.predicted_ms * times for times in BUDGETS]
    service = policy(BOOK, [card], seed=seed)
    requests = service.run(poisson(load * capacity.images_per_s, seconds, budgets, seed))
    second = [request for request in requests if request.at_ms >= seconds * 500]
    return Outcome.of(requests, service.changes), Outcome.of(second)


def mean(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the mean of several runs; what is counted is summed up."""
    return Outcome(
        fmean(o.in_time for o in outcomes),
        fmean(o.quality for o in outcomes),
        fmean(o.worth for o in outcomes),
        sum(o.late for o in outcomes),
        sum(o.changes for o in outcomes),
    )
