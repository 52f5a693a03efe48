from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from schedules.rules import uniform
from tests.rendering import a_frame, some_prompts
from workers.evaluating.methods import Method, Subject, Take
from workers.evaluating.scouting import Scout, equal_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.pipeline import Model


def taken(*elapsed: float) -> Take:
    return Take(torch.zeros(1), elapsed)


@pytest.mark.parametrize(
    ("ms", "counts"),
    [
        ([35.0], [2, 3]),
        ([20.0], [1, 2]),
        ([19.0], [1]),
        ([30.0, 25.0, 14.0], [1, 2, 3]),
        ([5.0], []),
        ([45.0, 40.0], [3]),
    ],
)
def test_as_many_uncached_steps_are_taken_as_fit_into_a_method_s_time_and_one_less(
    ms: Sequence[float], counts: list[int]
) -> None:
    rounds = [[taken(10.0, 20.0, 30.0, 40.0), *(taken(one) for one in ms)]] * 3

    assert equal_counts(rounds) == counts


def test_rounds_are_compared_each_with_its_own_uncached_run() -> None:
    quick, slow = taken(10.0, 20.0, 30.0), taken(100.0, 200.0, 300.0)

    assert equal_counts([[quick, taken(21.0)], [slow, taken(210.0)]]) == [1, 2]


def test_a_scout_times_a_schedule_once(tiny: Model) -> None:
    told: list[tuple[str, int, int]] = []
    frame = a_frame(tiny, 6)
    subjects = [Subject.of(tiny, one, frame) for one in some_prompts(1, 2)]
    uncached = Method("uncached", "uncached", frame)
    scout = Scout(tiny, uncached, subjects, 3, lambda *p: told.append(p))
    few, same = (
        Method(name, "own", a_frame(tiny, uniform(6, tiny.units.graph, 6))) for name in "ab"
    )

    assert scout.speed_up(few) == scout.speed_up(same) > 0
    assert set(scout.counts([few, same])) <= set(range(1, 6))
    assert told == [("timing", 1, 1)]
