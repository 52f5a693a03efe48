"""Every error has one answer, and the answer says what to do."""

from __future__ import annotations

import json

import pytest

from app import errors
from app.contract.errors import QueueFull, StoreUnavailable
from app.problems import KINDS, MEDIA_TYPE, describe, problem

SAMPLES: list[tuple[Exception, int]] = [
    (errors.InvalidRequest([errors.FieldError("seed", "is odd")]), 422),
    (errors.BudgetTooSmall(42.0), 422),
    (errors.QualityTooHigh(0.9, "psnr"), 422),
    (errors.Busy("later", 3, 900.0), 503),
    (errors.NoWorkers("nobody"), 503),
    (errors.DeadlineMissed("late"), 504),
    (errors.JobFailed("broken"), 500),
    (QueueFull("full"), 503),
    (StoreUnavailable("gone"), 503),
]


@pytest.mark.parametrize(("error", "status"), SAMPLES)
def test_an_error_becomes_a_problem_with_its_own_words(error: Exception, status: int) -> None:
    answer = problem(error)
    body = json.loads(bytes(answer.body))

    assert (answer.status_code, body["status"]) == (status, status)
    assert answer.media_type == MEDIA_TYPE
    assert body["detail"] == str(error)
    assert body["title"]
    assert body["type"]


def test_every_refusal_has_a_row_of_its_own() -> None:
    assert set(errors.Refused.__subclasses__()) <= KINDS.keys()


def test_a_small_budget_tells_the_smallest_that_would_do() -> None:
    assert json.loads(bytes(problem(errors.BudgetTooSmall(42.0)).body))["minimum_latency_ms"] == 42


def test_a_busy_service_tells_when_to_come_back() -> None:
    assert problem(errors.Busy("later", 3, 900.0)).headers["retry-after"] == "3"


def test_an_unexpected_error_tells_nothing_of_itself() -> None:
    answer = problem(RuntimeError("a secret prompt"))

    assert answer.status_code == 500
    assert b"secret" not in answer.body


@pytest.mark.parametrize("status", sorted({kind.status for kind in KINDS.values()}))
def test_only_what_may_come_right_later_is_retried_by_sdks(status: int) -> None:
    for kind in (kind for kind in KINDS.values() if kind.status == status):
        retried = dict(kind.headers).get("x-should-retry") != "false"
        assert retried == (status not in {408, 409, 500, 504})


def test_a_field_error_says_the_limit_in_plain_words() -> None:
    found = {"type": "less_than_equal", "loc": ("body", "num_images"), "ctx": {"le": 8}}

    assert describe(found) == errors.FieldError("num_images", "must be at most 8")


def test_an_unknown_kind_of_field_error_still_names_the_field() -> None:
    assert describe({"type": "new_kind", "loc": ("body", "seed")}).field == "seed"
