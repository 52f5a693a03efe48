from __future__ import annotations

from schedules.recalling import recalled


class Thing:
    """Equal to all others of its kind."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    __hash__ = None  # type: ignore[assignment]


def test_the_very_same_things_are_reckoned_with_once() -> None:
    calls = []

    @recalled(8)
    def reckon(thing: Thing, number: float) -> int:
        calls.append(number)
        return len(calls)

    one, other = Thing(), Thing()
    found = [reckon(*given) for given in ((one, 1.5), (one, 3.0 / 2), (other, 1.5), (one, 2.5))]
    assert found == [1, 1, 2, 3]


def test_no_more_than_so_many_results_are_kept() -> None:
    calls = []

    @recalled(2)
    def reckon(number: int) -> None:
        calls.append(number)

    for number in (1, 2, 3, 1):
        reckon(number)
    assert calls == [1, 2, 3, 1]
