from __future__ import annotations

import pytest

from schedules.batch_limit import Bounds, Memory, Trial, next_size, worthwhile

ANY = Bounds(64, 1e9)


def tried(*picture_ms: float) -> list[Trial]:
    """Return trials of 1, 2, 4, … pictures, each of which takes so long."""
    return [Trial(2**k, ms * 2**k) for k, ms in enumerate(picture_ms)]


def grown_to(bounds: Bounds, *picture_ms: float) -> list[int]:
    """Return which sizes are tried when pictures take so long in batches of 1, 2, 4, …."""
    sizes: list[int] = []
    trials: list[Trial] = []
    while (size := next_size(trials, bounds)) is not None:
        sizes.append(size)
        trials = tried(*picture_ms[: len(sizes)])
    return sizes


def test_one_picture_is_tried_first() -> None:
    assert next_size([], ANY) == 1


def test_sizes_double_while_pictures_get_quicker() -> None:
    assert grown_to(ANY, 100, 70, 50, 40, 39, 39) == [1, 2, 4, 8, 16, 32]


def test_one_slow_moment_does_not_end_the_search() -> None:
    assert worthwhile(tried(100, 101, 60)) == 4
    assert next_size(tried(100, 101), ANY) == 4


def test_a_size_that_gains_nothing_is_not_claimed() -> None:
    assert worthwhile(tried(100, 70, 69, 68)) == 2


def test_a_gain_is_over_the_best_of_all_smaller_sizes() -> None:
    assert worthwhile(tried(100, 60, 90, 70)) == 2


def test_no_more_are_tried_than_were_allowed() -> None:
    assert grown_to(Bounds(3, 1e9), 100, 70, 50) == [1, 2, 3]
    assert grown_to(Bounds(1, 1e9), 100) == [1]


def test_a_batch_never_takes_longer_than_anybody_waits() -> None:
    assert next_size(tried(1000, 800), Bounds(64, 3199)) is None
    assert next_size(tried(1000, 800), Bounds(64, 3200)) == 4


@pytest.mark.parametrize(("limit_bytes", "size"), [(1599, None), (1600, 2)])
def test_a_batch_must_fit_into_the_memory(limit_bytes: int, size: int | None) -> None:
    alone = Trial(1, 100.0, Memory(idle_bytes=1000, peak_bytes=1300, limit_bytes=limit_bytes))

    assert next_size([alone], ANY) == size
