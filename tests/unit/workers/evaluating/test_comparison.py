from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from schedules.rules import all_compute, uniform
from tests.rendering import a_frame, is_untouched, some_prompts
from workers.evaluating.comparison import (
    FEWER,
    Comparison,
    Outcome,
    compare,
    equal_counts,
    usable,
)
from workers.evaluating.methods import Method, Subject, Take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.pipeline import Model

NO_PICTURES = np.zeros((0, 1, 1, 3), np.uint8)


def outcome(model: Model, name: str, group: str, *ms: float, steps: int = 4) -> Outcome:
    method = Method(name, group, a_frame(model, steps))
    return Outcome(method, ms, NO_PICTURES)


def taken(*elapsed: float) -> Take:
    return Take(torch.zeros(1), elapsed)


def broken(_pipe: Any) -> Any:
    raise KeyError("attn")


def test_every_picture_is_made_by_every_method(tiny: Model) -> None:
    told: list[tuple[str, int, int]] = []
    frame = a_frame(tiny, 4)
    subjects = [Subject.of(tiny, prompt, frame) for prompt in some_prompts(1, 2)]
    methods = [
        Method("uncached", "uncached", frame),
        Method("half", "own", a_frame(tiny, uniform(4, tiny.units.graph, 2))),
    ]
    found = compare(tiny, methods, subjects, lambda *p: told.append(p), rounds=2)

    assert [one.method for one in found.outcomes[:2]] == methods
    assert all(len(one.ms) == len(one.pictures) == 2 for one in found.outcomes)
    assert all(one.method.group == FEWER for one in found.outcomes[2:])
    assert ("timing", 2, 2) in told
    assert told[-1] == ("pictures", 2, 2)


def test_a_peer_that_fails_is_left_out_with_its_reason(tiny: Model) -> None:
    frame = a_frame(tiny, 2)
    subject = Subject.of(tiny, some_prompts(1)[0], frame)
    own = Method("uncached", "uncached", frame)
    able, notes = usable(tiny, [own, Method("Peer", "peer", frame, broken)], subject)

    assert able == [own]
    assert notes == ("Peer does not run on this model: KeyError('attn')",)
    assert is_untouched(tiny.pipe.unet)


def test_a_method_of_our_own_that_fails_is_an_error(tiny: Model) -> None:
    wrong = Method("wrong", "own", a_frame(tiny, all_compute(2, tiny.units.graph), solver="none"))

    with pytest.raises(Exception, match="no solver is called 'none'"):
        usable(tiny, [wrong], Subject.of(tiny, some_prompts(1)[0], a_frame(tiny)))


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


def test_the_longest_uncached_run_that_took_no_longer_is_found(tiny: Model) -> None:
    uncached = outcome(tiny, "uncached", "uncached", 40.0, 80.0)
    method = outcome(tiny, "method", "own", 25.0, 50.0)
    one, two, three = (
        outcome(tiny, f"{n} steps", FEWER, 10.0 * n, 20.0 * n, steps=n) for n in (1, 2, 3)
    )
    found = Comparison((uncached, method, three, one, two))

    assert found.as_quick(method) is two
    assert found.as_quick(uncached) is None
    assert found.shown() == [uncached, method, two]


def test_a_ratio_of_times_is_taken_picture_by_picture(tiny: Model) -> None:
    uncached = outcome(tiny, "uncached", "uncached", 40.0, 80.0, 400.0)
    method = outcome(tiny, "method", "own", 20.0, 40.0, 200.0)

    assert uncached.times_as_long(method) == 2.0
