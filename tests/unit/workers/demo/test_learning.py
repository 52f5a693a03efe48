from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from workers.demo import checkpoints
from workers.demo.errors import UnusableParts
from workers.demo.learning import Learner, Lesson, learn, learning_rate
from workers.demo.presets import Course

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

COURSE = Course(steps=8, batch=4, learning_rate=0.1, warm_up=2, averaging=0.5)
WIDE = 16


def lesson(state: Path, course: Course = COURSE) -> Lesson:
    """Return a lesson for a matrix, which Muon trains, and a vector, which AdamW does."""
    torch.manual_seed(0)
    networks = nn.ModuleDict({"map": nn.Linear(WIDE, WIDE)})

    def draw(generator: torch.Generator) -> tuple[Tensor]:
        return (torch.randn(course.batch, WIDE, generator=generator),)

    def loss(nets: nn.ModuleDict, x: Tensor) -> Tensor:
        found: Tensor = (nets["map"](x) - x.flip(1)).square().mean()
        return found

    return Lesson(networks, draw, loss, course, state)


def weights(networks: nn.ModuleDict) -> list[float]:
    return [
        float(value)
        for parameter in networks.parameters()
        for value in parameter.detach().flatten()
    ]


def interrupted(learner: Learner, after: int) -> None:
    for _ in zip(range(after), learner.losses(), strict=False):
        pass
    learner.save()


def test_a_run_that_was_stopped_and_resumed_learns_what_an_uninterrupted_one_does(
    tmp_path: Path,
) -> None:
    whole = learn(lesson(tmp_path / "whole"), lambda *_: None)
    interrupted(Learner(lesson(tmp_path / "parts")), after=3)

    resumed = learn(lesson(tmp_path / "parts"), lambda *_: None)

    assert weights(resumed) == weights(whole)


def test_in_half_precision_the_loss_is_and_the_weights_are_not(tmp_path: Path) -> None:
    seen: list[torch.dtype] = []
    plain = lesson(tmp_path / "state")

    def loss(nets: nn.ModuleDict, x: Tensor) -> Tensor:
        seen.append(next(nets.parameters()).dtype)
        return plain.loss(nets, x.bfloat16())

    learnt = learn(replace(plain, loss=loss, half=True), lambda *_: None)

    assert set(seen) == {torch.bfloat16}
    assert {parameter.dtype for parameter in learnt.parameters()} == {torch.float32}
    assert weights(learnt) != weights(lesson(tmp_path / "other").networks)


def test_the_loss_falls(tmp_path: Path) -> None:
    losses: list[float] = []
    course = Course(60, 64, 0.1, 2, 0.5)

    learn(lesson(tmp_path / "state", course), lambda _, x: losses.append(float(x)))

    assert losses[-1] < losses[0] / 10


def test_an_interruption_saves_the_state(tmp_path: Path) -> None:
    def stop_at_four(learner: Learner, _loss: Tensor) -> None:
        if learner.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(lesson(tmp_path / "state"), stop_at_four)

    assert checkpoints.steps_done(tmp_path / "state") == 4


def test_a_finished_course_is_not_trained_again(tmp_path: Path) -> None:
    learn(lesson(tmp_path / "state"), lambda *_: None)
    steps: list[int] = []

    learn(lesson(tmp_path / "state"), lambda learner, _: steps.append(learner.done))

    assert steps == []


def test_the_average_lies_between_start_and_end(tmp_path: Path) -> None:
    one = lesson(tmp_path / "state", Course(1, 4, 0.1, 1, 0.9))
    start = weights(one.networks)

    average = weights(learn(one, lambda *_: None))

    for a, b, c in zip(start, average, weights(one.networks), strict=True):
        assert min(a, c) <= b <= max(a, c)


def test_the_learning_rate_warms_up_and_ends_at_nothing() -> None:
    rates = [learning_rate(COURSE, step) for step in range(COURSE.steps + 1)]

    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == pytest.approx(0.1)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0.0)


def test_a_state_of_other_networks_is_refused_by_name(tmp_path: Path) -> None:
    interrupted(Learner(lesson(tmp_path / "state")), after=1)
    other = replace(
        lesson(tmp_path / "state"), networks=nn.ModuleDict({"map": nn.Linear(WIDE, 2 * WIDE)})
    )

    with pytest.raises(UnusableParts, match="state"):
        Learner(other)
