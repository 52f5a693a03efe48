from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workers.evaluating.whole_steps import StepReuse

if TYPE_CHECKING:
    from collections.abc import Sequence


def calls(positions: Sequence[float], **limits: float) -> list[bool]:
    """Return at which of these latents the UNet is called."""
    called: list[float] = []
    reuse = StepReuse(lambda sample: called.append(float(sample)), **limits)  # type: ignore[arg-type]
    for position in positions:
        reuse(torch.tensor(position))
    return [position in called for position in positions]


def test_four_latents_are_seen_before_a_call_is_spared() -> None:
    assert calls([0.0, 1.0, 2.0, 3.0]) == [True, True, True, False]


def test_latents_that_move_unevenly_spare_nothing() -> None:
    assert all(calls([0.0, 1.0, 3.0, 4.0, 6.0, 7.0]))


def test_a_threshold_lets_uneven_moves_pass() -> None:
    uneven = [0.0, 10.0, 21.0, 31.0, 42.0]

    assert all(calls(uneven, threshold=0.01))
    assert calls(uneven, threshold=0.2)[3:] == [False, False]


def test_no_more_calls_in_a_row_are_spared_than_allowed() -> None:
    even = [float(k) for k in range(9)]

    assert calls(even, most_in_a_row=2)[3:] == [False, False, True, False, False, True]


def test_a_spared_call_gives_the_last_result() -> None:
    results = iter(range(10))
    reuse = StepReuse(lambda _sample: next(results))

    assert [reuse(torch.tensor(float(k))) for k in range(5)] == [0, 1, 2, 2, 2]
    assert reuse.calls == 3
