from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from workers.lag_errors import LagErrors, as_far_back

if TYPE_CHECKING:
    from torch import Tensor

STEPS, PICTURES, CHANNELS = 4, 2, 3
SHAPE = (PICTURES, CHANNELS, 64, 64)


def drawn(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def effects(values: list[Tensor], *, tokens_last: bool = False) -> Tensor:
    """Return what gradients of one say of corrected reuses."""
    left = LagErrors(0, values, 2, as_far_back, tokens_last=tokens_last)
    return left.effects([torch.ones_like(value) for value in values], 2)


def test_a_scale_and_a_shift_a_channel_leave_next_to_nothing() -> None:
    scale = torch.tensor([0.5, 1.5, 2.0]).view(1, 3, 1, 1)
    first = drawn(0)
    found = effects([first, scale * first + 1, scale * (scale * first + 1) + 1])

    assert found.abs().max() < 0.02 * first.abs().sum()


def test_what_grows_evenly_is_forecast() -> None:
    first, change = drawn(0), drawn(1)
    found = effects([first + step * change for step in range(STEPS)])

    assert found[2, 0].abs().max() < 0.3 * change.sum((1, 2, 3)).abs().max()
    assert found[1, 0].abs().max() > found[2, 0].abs().max()


def test_what_has_nothing_in_common_is_left() -> None:
    values = [drawn(seed) for seed in range(STEPS)]
    left = effects(values)[1, 0]

    assert left == pytest.approx((-values[1]).sum((1, 2, 3)), rel=0.5, abs=200)


def test_channels_may_lie_last() -> None:
    values = [drawn(seed) for seed in range(STEPS)]
    tokens = [value.flatten(2).movedim(1, -1) for value in values]

    assert torch.allclose(effects(values), effects(tokens, tokens_last=True), atol=1e-2)


def test_nothing_is_older_than_the_run() -> None:
    found = effects([drawn(seed) for seed in range(STEPS)])

    assert found.shape == (STEPS, 2, PICTURES)
    assert not found[0].any()
    assert not found[1, 1].any()


@pytest.mark.parametrize(
    ("source", "lag", "before"), [(0, 1, None), (1, 2, 0), (4, 1, 3), (4, 3, 1)]
)
def test_an_uncached_run_takes_reuses_to_be_evenly_apart(
    source: int, lag: int, before: int | None
) -> None:
    assert as_far_back(0, source, lag) == before
