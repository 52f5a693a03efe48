"""Pictures whose time does not count: by as many processes as there are cores."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from workers.evaluating.parts import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from workers.calibration_parts import Keep, Part
    from workers.evaluating.methods import Subject

    Make = Callable[[Subject], Made]

T = TypeVar("T")


def made_apart(make: Make, subjects: Sequence[Subject], device: torch.device) -> Iterator[Made]:
    """Yield what `make` makes of each subject, in their order.

    A process with one thread for each of torch's threads: together they make more than one with
    all threads, and none of it can be timed. On a GPU everything is made here.
    """
    can_fork = device.type == "cpu" and sys.platform == "linux"
    processes = min(torch.get_num_threads(), len(subjects)) if can_fork else 0
    loader: Any = DataLoader(
        _ToMake(make, subjects),
        batch_size=None,
        num_workers=processes,
        collate_fn=_as_it_is,
        prefetch_factor=1 if processes else None,
    )
    yield from loader


def already_made(keep: Keep, part: Part[Made]) -> Made | None:
    """Return a part that is kept, or None."""

    def make() -> Made:
        raise LookupError

    try:
        return keep(part, make)
    except LookupError:
        return None


class _ToMake(Dataset[Made]):
    def __init__(self, make: Make, subjects: Sequence[Subject]) -> None:
        self._make, self._subjects = make, subjects

    def __getitem__(self, place: int) -> Made:
        return self._make(self._subjects[place])

    def __len__(self) -> int:
        return len(self._subjects)


def _as_it_is(made: T) -> T:
    return made
