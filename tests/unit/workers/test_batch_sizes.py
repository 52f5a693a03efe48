from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch

from workers.batch_sizes import Sized, measure_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.pipeline import Model

SIZED = Sized(16, 16, 1.0, seconds=0.02)


@contextmanager
def memory_for(pictures: int, model: Model) -> Iterator[list[int]]:
    """Let the UNet run out of memory with more pictures than that; collects what it was asked."""
    asked: list[int] = []

    def check(_unet: Any, inputs: tuple[Any, ...]) -> None:
        asked.append(len(inputs[0]))
        if len(inputs[0]) > pictures:
            raise torch.OutOfMemoryError("no room")

    handle = model.pipe.unet.register_forward_pre_hook(check)
    try:
        yield asked
    finally:
        handle.remove()


def test_no_batch_is_as_large_as_one_that_ran_out_of_memory(tiny: Model) -> None:
    with memory_for(1, tiny) as asked:
        costs = measure_sizes(tiny, SIZED)

    assert costs.largest == 1
    assert max(asked) == 2


def test_a_model_too_large_for_one_picture_says_so(tiny: Model) -> None:
    with memory_for(0, tiny), pytest.raises(torch.OutOfMemoryError):
        measure_sizes(tiny, SIZED)


def test_no_more_pictures_are_tried_than_were_allowed(tiny: Model) -> None:
    with memory_for(64, tiny) as asked:
        measure_sizes(tiny, SIZED, most=2)

    assert max(asked) == 2


def test_only_sizes_worth_claiming_have_costs(tiny: Model) -> None:
    costs = measure_sizes(tiny, SIZED, most=4)

    assert [size for size, _ in costs.by_batch] == [1, 2, 4][: len(costs.by_batch)]


class Device:
    """A device of which each look finds a kilobyte more taken; so much of it may be."""

    def __init__(self, usable_bytes: int) -> None:
        self._usable_bytes, self._taken = usable_bytes, 0

    def begin(self) -> None:
        pass

    def now_bytes(self) -> int:
        self._taken += 1000
        return self._taken

    peak_bytes = now_bytes

    def usable_bytes(self) -> int:
        return self._usable_bytes


def test_no_batch_is_tried_for_which_the_meter_sees_no_room(tiny: Model) -> None:
    with memory_for(64, tiny) as asked:
        measure_sizes(tiny, SIZED, Device(usable_bytes=2500))

    assert max(asked) == 1
