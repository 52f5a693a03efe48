"""The simulation of what may happen between two steps is true where its answer is known."""

from __future__ import annotations

import pytest

from app.capacity import STEPS
from schedules.book import Plan, Quality
from schedules.planner import price
from schedules.rules import deepcache
from tests.builders import a_card
from tests.load_simulation import Request, Service, poisson
from tests.stepwise.measuring import BOOK, MEASURED, costs_of
from tests.stepwise.pausing import Pausing
from tests.stepwise.runs import Member, Price, Run
from tests.stepwise.saving import saved
from tests.stepwise.service import Stepwise

UNCACHED_MS = MEASURED.total_ms(STEPS, [STEPS] * len(BOOK.graph))
LOOSE, TIGHT = (0.0, 3.4 * UNCACHED_MS), (0.75 * UNCACHED_MS, 0.42 * UNCACHED_MS)


def ends(kind: type[Service], due: list[tuple[float, float]]) -> list[float | None]:
    requests = kind(BOOK, [a_card("w0", costs=MEASURED)], seed=1).run(due)
    return [request.ended_ms for request in requests]


def test_a_worker_that_only_goes_on_serves_as_one_asked_between_batches() -> None:
    due = poisson(2.5, 12.0, (1_200.0, 3_000.0, 12_000.0), seed=1)

    stepwise, plain = ends(Stepwise, due), ends(Service, due)

    assert [e is None for e in stepwise] == [e is None for e in plain]
    assert [e for e in stepwise if e] == pytest.approx([e for e in plain if e])


def test_a_run_in_step_takes_what_its_plan_predicts() -> None:
    plan, costs = BOOK.frontier(MEASURED)[-5], Price(BOOK, MEASURED, 4)
    run = Run([Member(Request(f"r{n}", 0.0, 1.0), plan) for n in range(3)], costs)

    assert run.left_ms() == pytest.approx(price(plan, MEASURED, batch=3).predicted_ms)


@pytest.mark.parametrize(("behind", "shares"), [(0, True), (1, False), (2, True)])
def test_pictures_share_calls_only_where_their_rows_are_the_same(behind: int, shares: bool) -> None:
    every_other = deepcache(20, BOOK.graph, 2)
    plan = Plan.of("ddim", "deepcache-2", every_other, BOOK.graph, Quality("any", 1.0))

    part = saved(plan, Price(BOOK, costs_of("1.3"), 2), behind)

    assert (part > 0.2) is shares
    assert part == pytest.approx(0.0) or shares


def test_a_pause_keeps_a_tight_deadline_and_the_loose_one() -> None:
    assert ends(Stepwise, [LOOSE, TIGHT])[1] is None

    loose, tight = ends(Pausing, [LOOSE, TIGHT])

    assert tight is not None
    assert loose is not None
    assert tight <= sum(TIGHT) < loose <= sum(LOOSE)
