"""Headers that say what a caller wants."""

from __future__ import annotations

import pytest

from app.negotiation import JSON, choose_type, patience_ms, wait_s, wants_async

PNG = "image/png"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("image/png", PNG),
        ("image/*", PNG),
        ("IMAGE/PNG", PNG),
        ("image/png, application/json;q=0.5", PNG),
        ("application/json, image/png;q=0.5", JSON),
        ("image/png;q=0, */*", JSON),
        ("text/html, */*;q=0.1", JSON),
        ("text/html", None),
        ("image/png;q=0", None),
        ("image/png;q=odd", None),
    ],
)
def test_the_best_liked_type_that_can_be_sent_is_chosen(accept: str, chosen: str | None) -> None:
    assert choose_type(accept, (JSON, PNG)) == chosen


@pytest.mark.parametrize(
    ("prefer", "wanted"),
    [
        ("respond-async", True),
        ("wait=5, Respond-Async; foo", True),
        ("", False),
        ("return=minimal", False),
    ],
)
def test_an_early_answer_is_given_where_it_is_preferred(prefer: str, wanted: bool) -> None:
    assert wants_async(prefer) is wanted


@pytest.mark.parametrize(
    ("header", "budget_ms"), [("10", 9000), ("", None), ("-1", None), ("inf", None), ("x", None)]
)
def test_patience_is_nine_tenths_of_a_sensible_timeout(
    header: str, budget_ms: float | None
) -> None:
    assert patience_ms(header) == budget_ms


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("respond-async, wait=5", 5),
        ('wait="5"; x, respond-async', 5),
        ("Wait=5", 5),
        ("wait=9999999", 600),
        ("respond-async", 0),
        ("wait=-1", 0),
        ("wait=soon", 0),
        ("wait", 0),
        ("", 0),
    ],
)
def test_a_caller_may_say_how_long_it_would_wait(prefer: str, seconds: float) -> None:
    assert wait_s(prefer) == seconds
