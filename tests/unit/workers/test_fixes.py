"""A fix is its formula, wherever the channels of a value lie."""

from __future__ import annotations

import pytest
import torch

from workers.fixes import Fix

PER_PLANE, PER_TOKEN = (8, 1, 1), (8,)
VALUES = {PER_PLANE: (2, 8, 4, 4), PER_TOKEN: (2, 16, 8)}
SHAPES = pytest.mark.parametrize("terms", VALUES, ids=["per plane", "per token"])


def _drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64)


@SHAPES
def test_one_tap_scales_and_shifts(terms: tuple[int, ...]) -> None:
    value, before, gain, shift = (_drawn(*s) for s in (*2 * [VALUES[terms]], *2 * [terms]))

    fixed = Fix((0, None), gain, shift, None)(value, before)

    torch.testing.assert_close(fixed, gain * value + shift)


@SHAPES
def test_two_taps_add_the_value_before(terms: tuple[int, ...]) -> None:
    value, before, *of_fix = (_drawn(*s) for s in (*2 * [VALUES[terms]], *3 * [terms]))
    gain, shift, slope = of_fix

    fixed = Fix((1, 0), gain, shift, slope)(value, before)

    torch.testing.assert_close(fixed, gain * value + shift + slope * before)


@SHAPES
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("has_two", [True, False])
def test_a_residual_is_added_corrected(
    terms: tuple[int, ...], dtype: torch.dtype, has_two: bool
) -> None:
    x, value, before, *of_fix = (_drawn(*s).to(dtype) for s in (*3 * [VALUES[terms]], *3 * [terms]))
    gain, shift, slope = of_fix
    fix = Fix((1, 0), gain, shift, slope if has_two else None)

    total = fix.added(x, value, before)

    torch.testing.assert_close(total, x + fix(value, before))


@SHAPES
def test_what_is_fixed_and_the_terms_stay_as_they_were(terms: tuple[int, ...]) -> None:
    given = [_drawn(*s) for s in (*2 * [VALUES[terms]], *3 * [terms])]
    kept = [tensor.clone() for tensor in given]
    value, before, gain, shift, slope = given

    Fix((1, 0), gain, shift, slope)(value, before)
    Fix((1, 0), gain, shift, slope).added(value, value, before)

    torch.testing.assert_close(given, kept, rtol=0, atol=0)
