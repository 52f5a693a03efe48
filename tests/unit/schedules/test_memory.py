"""What fits beside a paused batch: never more than the largest batch is known to need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schedules.memory import Footprint, MemoryAccount

# A picture takes 10 at most and keeps 4 between two steps.
ACCOUNT = MemoryAccount(tuple((n, Footprint(10.0 * n, 4.0 * n)) for n in (1, 2, 4)))
# A picture keeps nearly all that it takes.
KEEPING = MemoryAccount(tuple((n, Footprint(5.0 + 5.0 * n, 9.0 * n)) for n in (1, 2, 4)))

footprints = st.builds(Footprint, st.floats(1, 1e10), st.floats(0, 1e10))
accounts = st.lists(footprints, min_size=3, max_size=3).map(
    lambda found: MemoryAccount(tuple(zip((1, 2, 4), found, strict=True)))
)


@given(account=accounts, images=st.integers(1, 6), most=st.integers(1, 8))
def test_both_together_need_no_more_than_the_largest_batch(
    account: MemoryAccount, images: int, most: int
) -> None:
    beside = account.beside(images, most)

    assert 0 <= beside <= max(most - images, 0)
    if beside:
        taken_bytes = account.at(images).held_bytes + account.at(beside).peak_bytes
        assert taken_bytes <= account.at(most).peak_bytes * (1 + 1e-9)


def test_where_little_is_kept_both_may_fill_the_largest_batch() -> None:
    assert [ACCOUNT.beside(images, 4) for images in (1, 2, 3, 4)] == [3, 2, 1, 0]


def test_where_much_is_kept_fewer_come_first_or_nobody() -> None:
    assert [KEEPING.beside(images, 4) for images in (1, 2)] == [2, 0]


def test_a_size_that_was_not_measured_lies_between_those_that_were() -> None:
    assert ACCOUNT.at(3) == Footprint(30.0, 12.0)


def test_beyond_the_largest_measured_size_needs_grow_with_it() -> None:
    assert ACCOUNT.at(6) == Footprint(60.0, 24.0)
