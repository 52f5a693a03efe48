from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from workers.threads import fastest_threads, settle_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.pipeline import Model


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Work:
    """Takes as long as a table says for each number of threads, by a clock of its own."""

    def __init__(self, took_s: dict[int, float]) -> None:
        self._took_s = took_s
        self._now_s = 0.0

    def run(self) -> None:
        """Let the time pass."""
        self._now_s += self._took_s[torch.get_num_threads()]

    def clock_s(self) -> float:
        """Return the time."""
        return self._now_s


@pytest.mark.parametrize("best", [1, 2, 4])
def test_the_fastest_number_is_found(best: int) -> None:
    work = Work({1: 2.0, 2: 2.0, 4: 2.0} | {best: 1.0})

    assert fastest_threads(4, work.run, work.clock_s) == best


@pytest.mark.parametrize(("gain", "threads"), [(1.1, 1), (1.2, 4)])
def test_a_small_gain_is_not_worth_more_threads(gain: float, threads: int) -> None:
    work = Work({1: gain, 2: gain, 4: 1.0})

    assert fastest_threads(4, work.run, work.clock_s) == threads


def test_one_thread_needs_no_choice() -> None:
    assert fastest_threads(1, lambda: None) == 1


def test_numbers_that_are_no_powers_of_two_are_halved_down_to_one() -> None:
    seen: set[int] = set()

    fastest_threads(6, lambda: seen.add(torch.get_num_threads()))

    assert seen == {6, 3, 1}


def test_a_model_settles_within_what_torch_would_use(tiny: Model) -> None:
    most = torch.get_num_threads()

    threads = settle_threads(tiny)

    assert 1 <= threads <= most
    assert torch.get_num_threads() == threads
