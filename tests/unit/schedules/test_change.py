from __future__ import annotations

import numpy as np
import pytest

from schedules.change import ChangeProfile
from schedules.errors import InvalidProfile

Table = tuple[tuple[float, ...], ...]


def test_a_profile_of_changes_between_steps_is_one_step_longer() -> None:
    profile = ChangeProfile(mean=((0.1, 0.2), (0.3, 0.4)), std=((0, 0), (0, 0)), samples=4)

    assert (profile.units, profile.steps) == (2, 3)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((), ()),
        (((0.1,),), ((0.1, 0.2),)),
        (((0.1,), (0.1,)), ((0.1,),)),
        (((0.1,), (0.1, 0.2)), ((0.1,), (0.1, 0.2))),
        (((-0.1,),), ((0.1,),)),
        (((0.1,),), ((-0.1,),)),
    ],
    ids=["empty", "other steps", "other units", "ragged", "negative mean", "negative deviation"],
)
def test_tables_that_do_not_fit_are_refused(mean: Table, std: Table) -> None:
    with pytest.raises(InvalidProfile):
        ChangeProfile(mean, std, samples=1)


def test_moments_over_units_are_those_of_all_their_samples() -> None:
    samples = np.array([[0.1, 0.3, 0.2, 0.6], [0.5, 0.9, 0.4, 0.8], [7.0, 7.0, 7.0, 7.0]])
    mean = tuple((float(row.mean()),) for row in samples)
    std = tuple((float(row.std()),) for row in samples)
    (moments,) = ChangeProfile(mean, std, samples=4).over((0, 1))

    assert moments.mean == pytest.approx(samples[:2].mean())
    assert moments.std == pytest.approx(samples[:2].std())
