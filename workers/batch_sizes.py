"""Find by measuring how many pictures at once are worth it on this device, and what they cost."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schedules.batch_limit import Bounds, Memory, Trial, next_size, worthwhile
from schedules.cost import CostModel
from workers.costing import batch_costs
from workers.halving import free_memory, is_out_of_memory

if TYPE_CHECKING:
    from schedules.cost import StageCosts
    from workers.memory import Meter
    from workers.pipeline import Model

log = logging.getLogger(__name__)
MOST = 64
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


def measure_sizes(
    model: Model, sized: Sized, meter: Meter | None = None, most: int | None = None
) -> CostModel:
    """Measure costs of 1, 2, 4, … pictures at once, as long as more of them are worth it.

    The largest size of the result is the largest worth claiming, `most` at most; what `meter` tells
    keeps it within the device's memory. Raises what a single picture raises.
    """
    bounds = Bounds(most or MOST, LONGEST_MS[model.device.type])
    trials: list[Trial] = []
    measured: list[tuple[int, StageCosts]] = []
    while (size := next_size(trials, bounds)) is not None:
        found = _tried(model, sized, size, meter)
        if found is None:
            break
        trial, costs = found
        trials.append(trial)
        measured.append((size, costs))
    limit = worthwhile(trials)
    log.info("pictures at once: %d", limit)
    return CostModel(tuple((size, costs) for size, costs in measured if size <= limit))


def _tried(
    model: Model, sized: Sized, size: int, meter: Meter | None
) -> tuple[Trial, StageCosts] | None:
    """Measure one size; None when the memory is too small for it."""
    idle_bytes = _begun(meter)
    try:
        costs = batch_costs(
            model, sized.width, sized.height, sized.guidance_scale, size, sized.seconds
        )
    except Exception as error:
        if size == 1 or not is_out_of_memory(error):
            raise
    else:
        return Trial(size, _run_ms(costs), _memory(meter, idle_bytes)), costs
    free_memory()  # only here are the error and what its frames hold gone
    return None


def _run_ms(costs: StageCosts) -> float:
    steps_ms = costs.start_ms + USUAL_STEPS * costs.full_step_ms
    return costs.encode_ms + steps_ms + costs.decode_ms + costs.png_ms


def _begun(meter: Meter | None) -> int:
    if meter is None:
        return 0
    meter.begin()
    return meter.now_bytes()


def _memory(meter: Meter | None, idle_bytes: int) -> Memory | None:
    if meter is None:
        return None
    return Memory(idle_bytes, meter.peak_bytes(), meter.usable_bytes())
