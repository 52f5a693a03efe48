from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.memory import Footprint, MemoryAccount
from workers.memory import measure_memory
from workers.pauses import room_beside

if TYPE_CHECKING:
    from workers.pipeline import Model

ACCOUNT = MemoryAccount(((1, Footprint(10.0, 9.0)), (4, Footprint(25.0, 36.0))))


class Rising:
    """A device on which ten bytes more are taken whenever somebody looks, five of them for ever."""

    def __init__(self) -> None:
        self._taken = 1000
        self._peak = 0

    def begin(self) -> None:
        self._peak = 0

    def now_bytes(self) -> int:
        self._taken += 10
        self._peak = max(self._peak, self._taken + 5)
        return self._taken

    def peak_bytes(self) -> int:
        return self._peak

    def usable_bytes(self) -> int:
        return 10_000


def test_what_is_kept_between_steps_is_told_apart_from_what_is_taken_at_most(tiny: Model) -> None:
    side = tiny.native_size
    account = measure_memory(tiny, side, side, 3.0, (1, 2), Rising())

    assert account.by_batch == ((1, Footprint(35, 30)), (2, Footprint(35, 30)))


def test_without_an_account_two_batches_are_as_many_as_the_largest() -> None:
    assert [room_beside(images, 4, None) for images in (1, 3, 4, 5)] == [3, 1, 0, 0]


def test_with_an_account_two_batches_need_no_more_than_the_largest() -> None:
    assert [room_beside(images, 4, ACCOUNT) for images in (1, 2)] == [2, 0]
