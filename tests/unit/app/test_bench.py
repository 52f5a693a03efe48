from __future__ import annotations

import pytest

from app.bench import strayed


def test_steady_and_steadily_slowing_machines_stray_not_at_all() -> None:
    assert strayed([10.0, 10.0, 10.0, 10.0]) == [0, 0]
    assert strayed([10.0, 11.0, 12.0, 13.0]) == pytest.approx([0, 0])


def test_a_time_strays_from_the_mean_of_those_beside_it() -> None:
    assert strayed([10.0, 15.0, 10.0]) == pytest.approx([0.5])


def test_two_times_say_nothing() -> None:
    assert strayed([10.0, 15.0]) == []
