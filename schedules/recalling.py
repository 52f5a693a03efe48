"""What was reckoned from the very same things before need not be reckoned again."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from collections.abc import Callable

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


def recalled(
    most: int,
) -> Callable[[Callable[[Unpack[Ts]], T]], Callable[[Unpack[Ts]], T]]:
    """Let a pure function remember up to `most` results, by which things it was given.

    Numbers are told apart by what they are, all else by identity: plan books and costs are too
    large to be compared for every batch. What is remembered is kept alive, so that no other thing
    gets its identity.
    """

    def around(reckon: Callable[[Unpack[Ts]], T]) -> Callable[[Unpack[Ts]], T]:
        known: dict[tuple[Any, ...], tuple[Any, T]] = {}

        @wraps(reckon)
        def recall(*given: *Ts) -> T:
            key = tuple(one if isinstance(one, int | float) else id(one) for one in given)
            found = known.get(key)
            if found is None:
                if len(known) >= most:
                    known.clear()
                found = known[key] = (given, reckon(*given))
            return found[1]

        return recall

    return around
