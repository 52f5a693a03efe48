"""Open load comes at its own pace, and its report tells refused, late and made requests apart."""

from __future__ import annotations

import pytest

from app.capacity import uncached
from app.errors import GatewayError
from app.open_loop import BUDGETS, OpenLoad, Sent, arrivals, rates_of, report
from tests.builders import a_card, a_graph, costs

LOAD = OpenLoad("http://nowhere", (1.0,), seconds=200.0)


def test_arrivals_come_at_the_rate_asked_for_with_mixed_budgets() -> None:
    due = arrivals(LOAD, 5.0, alone_ms=100.0)

    assert len(due) == pytest.approx(1000, rel=0.1)
    assert all(0 < at_s < LOAD.seconds for at_s, _ in due)
    assert {budget_ms for _, budget_ms in due} == {100.0 * times for times in BUDGETS}


def test_the_same_seed_is_the_same_load() -> None:
    assert arrivals(LOAD, 5.0, 100.0) == arrivals(LOAD, 5.0, 100.0)


def test_refused_requests_are_not_among_the_accepted() -> None:
    sent = [
        Sent(1.0, 500.0, 400.0, quality=0.8, batch=2),
        Sent(2.0, 500.0, 600.0, quality=0.6, batch=2),
        Sent(3.0, 500.0, 5.0, refusal="Others are before you"),
        Sent(4.0, 500.0, 900.0, failure="Deadline missed"),
    ]
    found = report(sent)

    assert found["accepted"] == 3 / 4
    assert found["in_time_of_accepted"] == 1 / 3
    assert found["quality_mean"] == pytest.approx(0.7)
    assert found["without_picture"] == {"Deadline missed": 1, "Others are before you": 1}
    assert found["second_half"]["requests"] == 2
    assert found["second_half"]["accepted"] == 1 / 2


def test_a_report_of_nothing_is_no_error() -> None:
    assert report([])["accepted"] is None


@pytest.mark.parametrize("text", ["", "fast", "0", "-1,2", "1,1000"])
def test_a_wrong_rate_is_one_sentence(text: str) -> None:
    with pytest.raises(GatewayError, match="--rate"):
        rates_of(text)


def test_capacity_is_the_best_batch_of_every_worker() -> None:
    units = len(a_graph())
    gains, alone = a_card(costs=costs(), max_batch=4), a_card(costs=costs(), max_batch=1)
    one_ms = costs().total_ms(20, [20] * units)
    four_ms = costs().total_ms(20, [20] * units, 4)

    found = uncached([gains, alone], units)

    assert found.predicted_ms == one_ms
    assert found.images_per_s == pytest.approx(4000 / four_ms + 1000 / one_ms)
