from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from schedules.rules import all_compute, uniform
from tests.rendering import a_frame, is_untouched, some_prompts
from workers.evaluating.comparison import FEWER, Comparison, Outcome, run, usable
from workers.evaluating.methods import Method, Subject
from workers.evaluating.parts import pictures
from workers.partial import PartialFolder

if TYPE_CHECKING:
    from pathlib import Path

    from workers.pipeline import Model

NO_PICTURES = np.zeros((0, 1, 1, 3), np.uint8)


def outcome(model: Model, name: str, group: str, *ms: float, steps: int = 4) -> Outcome:
    method = Method(name, group, a_frame(model, steps))
    return Outcome(method, ms, NO_PICTURES)


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
    found = run(tiny, methods, subjects, lambda *p: told.append(p))

    assert [one.method for one in found] == methods
    assert all(len(one.ms) == len(one.pictures) == 2 for one in found)
    assert told[-1] == ("pictures", 2, 2)


def test_pictures_that_were_kept_are_not_made_again(tiny: Model, tmp_path: Path) -> None:
    methods = [Method("uncached", "uncached", a_frame(tiny, 2))]
    subjects = [Subject.of(tiny, one, methods[0].frame) for one in some_prompts(1, 2)]
    keep = PartialFolder.opened(tmp_path / "partial", {})
    (first,) = run(tiny, methods, subjects[:1], lambda *_: None, keep)
    (both,) = run(tiny, methods, subjects, lambda *_: None, keep)

    assert both.ms[0] == first.ms[0]
    assert np.array_equal(both.pictures[:1], first.pictures)


def test_pictures_that_are_not_timed_are_the_same_in_the_same_order(
    tiny: Model, tmp_path: Path
) -> None:
    methods = [Method("uncached", "uncached", a_frame(tiny, 2))]
    subjects = [Subject.of(tiny, one, methods[0].frame) for one in some_prompts(1, 2, 3, 4, 5)]
    keep = PartialFolder.opened(tmp_path / "partial", {})
    (all_timed,) = run(tiny, methods, subjects, lambda *_: None, keep)
    for number in (3, 5):
        (keep.folder / pictures("pictures", number).file).unlink()
    (found,) = run(tiny, methods, subjects, lambda *_: None, keep, timed=1)

    assert found.ms == all_timed.ms[:1]
    assert np.abs(found.pictures.astype(int) - all_timed.pictures).max() <= 1
    assert len({picture.tobytes() for picture in found.pictures}) == len(subjects)


def test_without_a_time_nothing_is_timed(tiny: Model) -> None:
    methods = [Method("uncached", "uncached", a_frame(tiny, 2))]
    subjects = [Subject.of(tiny, one, methods[0].frame) for one in some_prompts(1, 2)]
    (found,) = run(tiny, methods, subjects, lambda *_: None, timed=0)

    assert (found.ms, len(found.pictures)) == ((), 2)


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
