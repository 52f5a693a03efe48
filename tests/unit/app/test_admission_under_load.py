"""With others in line, a promise is what is left once all of them are kept."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from app.admission import Admit, Ask, Load, Queued, admit
from app.contract.line import Line
from app.contract.line import Queued as InLine
from app.contract.ports import Backlog
from schedules.planner import price
from schedules.sharing import Arrival, Waiting
from tests.builders import a_book, a_card, costs

NOW = 1_000_000
BOOK, CARD = a_book(), a_card(max_batch=1)
FULL_MS, CACHED_MS, FAST_MS = (price(plan, costs()).p95_ms for plan in BOOK.plans)
names = count(1)


def in_line(left_ms: float, quality: float = 1.0) -> InLine:
    return InLine(f"job-{next(names)}", "a", Waiting(left_ms, 1, quality), FULL_MS)


def load(*queued: InLine, budget_ms: float = 0.0, came: tuple[Arrival, ...] = ()) -> Load:
    line = tuple(sorted(queued, key=lambda job: job.waiting.left_ms))
    before = [job for job in line if job.waiting.left_ms < budget_ms]
    backlog = Backlog(len(before), FULL_MS * len(before), Line(line, came))
    return Load([CARD], backlog, NOW, 0.0)


def rule(verdict: object) -> str:
    assert isinstance(verdict, Admit), verdict
    return verdict.choice.picked.plan.rule


def test_a_promise_leaves_time_for_those_with_later_deadlines() -> None:
    budget_ms, tight = FULL_MS + 1, in_line(CACHED_MS + FAST_MS + 5)

    assert rule(admit(Ask(budget_ms), BOOK, load(budget_ms=budget_ms))) == "full"
    assert rule(admit(Ask(budget_ms), BOOK, load(tight, budget_ms=budget_ms))) != "full"


def test_who_would_make_somebody_late_is_told_to_come_back() -> None:
    budget_ms = FAST_MS + 1
    full_house = load(in_line(1.5 * FAST_MS), budget_ms=budget_ms)

    assert isinstance(admit(Ask(budget_ms), BOOK, full_house), Queued)


def test_those_who_wait_are_stepped_down_before_anybody_is_refused() -> None:
    budget_ms = 3.2 * FAST_MS
    waiting = [in_line(3.1 * FAST_MS) for _ in range(2)]

    verdict = admit(Ask(budget_ms), BOOK, load(*waiting, budget_ms=budget_ms))

    assert rule(verdict) == "deepcache-2"


def test_those_who_keep_coming_lower_a_promise() -> None:
    came = tuple(Arrival(age_ms, 1, 1.2 * FULL_MS) for age_ms in range(200, 0, -40))
    ask = Ask(FULL_MS + 1)

    assert rule(admit(ask, BOOK, load())) == "full"
    assert rule(admit(ask, BOOK, load(came=came))) != "full"


def test_who_is_expected_takes_nobodys_place() -> None:
    came = tuple(Arrival(age_ms, 8, FAST_MS) for age_ms in range(200, 0, -40))

    assert isinstance(admit(Ask(FAST_MS + 1), BOOK, load(came=came)), Admit)


def test_a_floor_is_kept_under_pressure() -> None:
    came = tuple(Arrival(age_ms, 1, FULL_MS) for age_ms in range(200, 0, -40))

    assert rule(admit(Ask(10 * FULL_MS, min_quality=1.0), BOOK, load(came=came))) == "full"


lefts = st.lists(st.floats(10, 2000), max_size=5)


@given(lefts=lefts, budget_ms=st.floats(10, 2000), one_more_ms=st.floats(10, 2000))
def test_one_more_in_line_never_improves_a_promise(
    lefts: list[float], budget_ms: float, one_more_ms: float
) -> None:
    line = [in_line(left_ms) for left_ms in lefts]
    before = admit(Ask(budget_ms), BOOK, load(*line, budget_ms=budget_ms))
    crowd = load(*line, in_line(one_more_ms), budget_ms=budget_ms)
    after = admit(Ask(budget_ms), BOOK, crowd)

    if isinstance(before, Admit) and isinstance(after, Admit):
        qualities = [v.choice.picked.plan.quality.value for v in (before, after)]
        assert qualities[0] >= qualities[1]


def test_an_unequal_worker_does_its_own_share_of_the_work() -> None:
    slow = a_card("slow", costs=costs(step_ms=40.0), busy_until_unix_ms=NOW + 1)
    fast = replace(CARD, busy_until_unix_ms=NOW + 1)
    waits = []
    for cards in ([fast, fast.copy(worker="b")], [fast, slow]):
        backlog = Backlog(1, 1000.0)
        verdict = admit(Ask(10_000), BOOK, Load(cards, backlog, NOW, 0.0))
        assert isinstance(verdict, Admit)
        waits.append(verdict.wait_ms)

    assert waits == [501.0, 201.0]


def yielding(rest_ms: float, due_ms: float) -> Load:
    """Return a worker in the middle of a run that stands back for earlier deadlines."""
    ends, due = NOW + round(rest_ms), NOW + round(due_ms)
    card = replace(CARD, busy_until_unix_ms=ends, yields_from_unix_ms=NOW, due_unix_ms=due)
    return Load([card], Backlog(0, 0.0), NOW, 0.0)


def test_who_can_come_before_a_run_need_not_wait_for_its_end() -> None:
    budget_ms, run_ms = 3 * FULL_MS, 4 * FULL_MS
    stands_back, goes_on = yielding(run_ms, 10 * FULL_MS), yielding(run_ms, 10 * FULL_MS)
    busy = replace(goes_on, cards=[replace(goes_on.cards[0], due_unix_ms=0)])

    assert isinstance(admit(Ask(budget_ms), BOOK, stands_back), Admit)
    assert isinstance(admit(Ask(budget_ms), BOOK, busy), Queued)


def test_nobody_comes_before_a_run_that_would_be_late_for_it() -> None:
    run_ms, budget_ms = 4 * FULL_MS, 3 * FULL_MS
    tight = yielding(run_ms, run_ms * 1.03 + FAST_MS / 2)

    assert isinstance(admit(Ask(budget_ms), BOOK, tight), Queued)


def test_who_comes_after_a_run_waits_for_its_end() -> None:
    run_ms, due_ms = 2 * FULL_MS, 5 * FULL_MS
    verdict = admit(Ask(6 * FULL_MS), BOOK, yielding(run_ms, due_ms))

    assert isinstance(verdict, Admit)
    assert verdict.wait_ms >= run_ms
