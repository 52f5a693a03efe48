from __future__ import annotations

import time
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


@pytest.mark.parametrize("best", [1, 2, 4])
def test_the_fastest_number_is_found(best: int) -> None:
    def run() -> None:
        time.sleep(0.001 if torch.get_num_threads() == best else 0.02)

    assert fastest_threads(4, run) == best


def test_a_small_gain_is_not_worth_more_threads() -> None:
    def run() -> None:
        time.sleep(0.02 if torch.get_num_threads() == 4 else 0.0205)

    assert fastest_threads(4, run) == 1


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
