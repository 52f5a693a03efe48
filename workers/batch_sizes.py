"""Find by measuring how many pictures at once are worth it on this device, and what they cost."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from schedules.batch_limit import Bounds, Memory, Trial, next_size, worthwhile
from schedules.cost import CostModel
from workers.costing import batch_costs
from workers.halving import free_memory, is_out_of_memory

if TYPE_CHECKING:
    from schedules.cost import StageCosts
    from workers.pipeline import Model

log = logging.getLogger(__name__)
MOST = 64
# Of the device's memory, what a batch leaves free for graphs and everything else.
USABLE = 0.8
# A run this long, of USUAL_STEPS uncached steps, is long enough to wait for; a start, too, takes
# the longer the larger the batches that are tried.
LONGEST_MS = {"cpu": 5_000.0, "cuda": 30_000.0}
USUAL_STEPS = 20


@dataclass(frozen=True, slots=True)
class Sized:
    """How a model is measured: the pictures, and about how long for a batch of one."""

    width: int
    height: int
    guidance_scale: float
    seconds: float


def measure_sizes(model: Model, sized: Sized, most: int | None = None) -> CostModel:
    """Measure costs of 1, 2, 4, … pictures at once, as long as more of them are worth it.

    The largest size of the result is the largest worth claiming, `most` at most. Raises what a
    single picture raises.
    """
    bounds = Bounds(most or MOST, LONGEST_MS[model.device.type])
    trials: list[Trial] = []
    measured: list[tuple[int, StageCosts]] = []
    while (size := next_size(trials, bounds)) is not None:
        found = _tried(model, sized, size)
        if found is None:
            break
        trial, costs = found
        trials.append(trial)
        measured.append((size, costs))
    limit = worthwhile(trials)
    log.info("pictures at once: %d", limit)
    return CostModel(tuple((size, costs) for size, costs in measured if size <= limit))


def _tried(model: Model, sized: Sized, size: int) -> tuple[Trial, StageCosts] | None:
    """Measure one size; None when the memory is too small for it."""
    account = MemoryAccount(model.device)
    try:
        costs = batch_costs(
            model, sized.width, sized.height, sized.guidance_scale, size, sized.seconds
        )
    except Exception as error:
        if size == 1 or not is_out_of_memory(error):
            raise
    else:
        return Trial(size, _run_ms(costs), account.memory()), costs
    free_memory()  # only here are the error and what its frames hold gone
    return None


def _run_ms(costs: StageCosts) -> float:
    steps_ms = costs.start_ms + USUAL_STEPS * costs.full_step_ms
    return costs.encode_ms + steps_ms + costs.decode_ms + costs.png_ms


class MemoryAccount:
    """Watches the memory of a CUDA device from now on; of others there is no account."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._cuda, self._idle = device, device.type == "cuda", 0
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(device)
            self._idle = torch.cuda.memory_allocated(device)

    def memory(self) -> Memory | None:
        """Return what was held at the beginning, at most since, and may be held."""
        if not self._cuda:
            return None
        free_bytes, _ = torch.cuda.mem_get_info(self._device)
        own_bytes = torch.cuda.memory_reserved(self._device)
        peak_bytes = torch.cuda.max_memory_allocated(self._device)
        return Memory(self._idle, peak_bytes, int(USABLE * (free_bytes + own_bytes)))
