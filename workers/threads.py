"""How many CPU threads make one picture fastest on this machine."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import torch

from schedules.rules import all_compute
from workers.sampler import Frame, Prompt, denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.pipeline import Model

ROUNDS = 3
STEPS = 2
# More threads must be this much faster: they wait for one another whenever a core is taken.
GAIN = 1.15


def settle_threads(model: Model) -> int:
    """Give torch as many threads as make a picture of this model fastest; return how many.

    Where cores are shared with others, threads wait for one another longer than they help. On a GPU
    nothing is changed.
    """
    most = torch.get_num_threads()
    if model.device.type == "cpu":
        torch.set_num_threads(fastest_threads(most, _run(model)))
    return torch.get_num_threads()


def fastest_threads(
    most: int, run: Callable[[], None], clock_s: Callable[[], float] = time.perf_counter
) -> int:
    """Return the fewest threads, of `most` and a half, quarter … of it, that are nearly fastest.

    No other number's median time is GAIN times shorter. All are tried in turn, several times over,
    so that a drifting machine meets them alike.
    """
    tried = sorted({most >> k for k in range(most.bit_length())} - {0})
    times: dict[int, list[float]] = {threads: [] for threads in tried}
    for _ in range(ROUNDS):
        for threads in tried:
            times[threads].append(_timed_s(threads, run, clock_s))
    medians = {threads: median(times[threads]) for threads in tried}
    return next(n for n in tried if medians[n] <= GAIN * min(medians.values()))


def _timed_s(threads: int, run: Callable[[], None], clock_s: Callable[[], float]) -> float:
    torch.set_num_threads(threads)
    run()  # starts the threads
    start = clock_s()
    run()
    return clock_s() - start


@torch.inference_mode()
def _run(model: Model) -> Callable[[], None]:
    side, prompts = model.native_size, [Prompt("a red apple", None, 0)]
    frame = Frame(side, side, 3.0, "dpmpp_2m", all_compute(STEPS, model.units.graph))

    conditioning = encode(model, prompts, frame)
    noise = initial_latents(model, prompts, frame)

    @torch.inference_mode()
    def run() -> None:
        denoise(model, conditioning, noise, frame)

    return run
