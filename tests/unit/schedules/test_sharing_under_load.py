"""The policy in virtual time under Poisson load, with the costs and plans of the bundled model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.capacity import uncached
from tests import bundled
from tests.builders import a_card
from tests.load_simulation import Service, poisson, shares

BOOK = bundled.book()
COSTS = bundled.costs()
SECONDS = 120.0


def under(rate: float, speeds: tuple[float, ...] = (1.0,)) -> dict[str, float]:
    """Return what becomes of mixed budgets at a multiple of what uncached runs could serve."""
    drift = COSTS.drift
    slower = [replace(drift, median=1 / s, p95=drift.p95 / s) for s in speeds]
    cards = [a_card(f"w{n}", costs=COSTS.drifted(d)) for n, d in enumerate(slower)]
    capacity = uncached(cards, len(BOOK.graph))
    budgets = [capacity.predicted_ms * times for times in (1.0, 2.5, 10.0)]
    due = poisson(rate * capacity.images_per_s, SECONDS / len(speeds), budgets, seed=1)
    return shares(Service(BOOK, cards).run(due))


@pytest.mark.parametrize(
    ("rate", "accepted", "in_time", "quality"),
    [(0.7, 0.9, 0.99, 0.97), (1.5, 0.95, 0.99, 0.96), (3.0, 0.97, 0.99, 0.9)],
)
def test_overload_costs_a_little_quality_and_no_deadlines(
    rate: float, accepted: float, in_time: float, quality: float
) -> None:
    found = under(rate)

    assert found["accepted"] >= accepted
    assert found["in_time"] >= in_time
    assert found["quality"] >= quality


def test_unequal_workers_together_keep_their_deadlines_too() -> None:
    found = under(1.5, (1.0, 1.0, 0.5))

    assert found["accepted"] >= 0.95
    assert found["in_time"] >= 0.99
