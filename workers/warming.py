"""Pictures nobody asked for: they tell how this machine's times compare with its costs."""

from __future__ import annotations

import io
import logging
import time
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from schedules.planner import price
from schedules.rules import all_compute
from workers.cached_unet import cache_run
from workers.halving import free_memory, is_out_of_memory
from workers.moves import moves_of
from workers.rendering import render
from workers.sampler import Frame, Prompt
from workers.speed import Took

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schedules.book import Plan
    from schedules.cost import CostModel
    from schedules.schedule import Schedule
    from workers.batch import Desk
    from workers.correction import Correction
    from workers.graphs import Graphs
    from workers.moves import Move
    from workers.rendering import Rendered

log = logging.getLogger(__name__)
WARM_UP_PLANS = 3
WARM_UP_SPAN = 4.0
WARM_UP_ROUNDS = 2
RECORD_S = 60.0
# Half precision may round otherwise in a replay; a wrong picture is tens of levels away.
MOST_APART = 1.0
# A picture right after another finds its weights in the caches; those asked for seldom do.
PAUSE_S = 0.05


def warm_up(desk: Desk) -> list[Took]:
    """Make pictures by plans within WARM_UP_SPAN of the cheapest; return what they took.

    The very first picture pays for what a process does only once, and is not counted.
    """
    chosen = warm_up_plans(desk.book.frontier(desk.costs), desk.costs)
    found = []
    for plan in (chosen[0], *chosen * WARM_UP_ROUNDS):
        time.sleep(PAUSE_S)
        found.append(_took(desk, plan))
    return found[1:]


def record(desk: Desk, within_s: float = RECORD_S) -> None:
    """Record the steps of all plans a request may get as CUDA graphs, for each batch size measured.

    Ends after about `within_s`; what is still missing then is recorded when it is wanted.
    """
    end_s = time.monotonic() + within_s
    if not desk.graphs.are_on:
        return
    plans = desk.book.frontier(desk.costs)
    _leave_stages(desk, plans[0])
    moves = (move for plan in plans for move in _moves(desk, plan))
    desk.graphs.record(moves, lambda: time.monotonic() > end_s)
    log.info("steps recorded as CUDA graphs: %d", desk.graphs.count)
    _compare(desk, plans[0])


def _compare(desk: Desk, plan: Plan) -> None:
    """Trust graphs only when a picture made by them is the one made without."""
    eager, replayed = (
        _made(desk, plan, plan.schedule, 1, desk.correction_of(plan), graphs)
        for graphs in (None, desk.graphs)
    )
    levels = [
        np.asarray(Image.open(io.BytesIO(made.images[0])), float) for made in (eager, replayed)
    ]
    apart = float(np.abs(levels[0] - levels[1]).mean())
    if apart > MOST_APART:
        desk.graphs.end(f"a picture made by them differs by {apart:.1f} of 255 levels")


def _leave_stages(desk: Desk, plan: Plan) -> None:
    """Take one step in each batch size: it leaves behind the tensors of its shape."""
    schedule = all_compute(1, desk.model.units.graph)
    try:
        for batch, _ in desk.costs.by_batch:
            _made(desk, plan, schedule, batch, None, desk.graphs)
    except Exception as error:
        if not (is_out_of_memory(error) and desk.graphs.give_way()):
            raise
    free_memory()


def _moves(desk: Desk, plan: Plan) -> Iterator[Move]:
    run = cache_run(desk.model.units, plan.schedule, desk.correction_of(plan))
    return moves_of(run, plan.steps)


def probe(desk: Desk) -> Took:
    """Make a picture by the cheapest plan; return what it took."""
    return _took(desk, desk.book.frontier(desk.costs)[0])


def warm_up_plans(frontier: Sequence[Plan], costs: CostModel) -> list[Plan]:
    """Return WARM_UP_PLANS or fewer, spread over the cheap end of a frontier."""
    longest_ms = WARM_UP_SPAN * price(frontier[0], costs).predicted_ms
    cheap = [plan for plan in frontier if price(plan, costs).predicted_ms <= longest_ms]
    return cheap[:: -(-len(cheap) // WARM_UP_PLANS)]


def _took(desk: Desk, plan: Plan) -> Took:
    made = _made(desk, plan, plan.schedule, 1, desk.correction_of(plan), desk.graphs)
    return Took(price(plan, desk.costs).predicted_ms, made.total_ms)


def _made(
    desk: Desk,
    plan: Plan,
    schedule: Schedule,
    batch: int,
    correction: Correction | None,
    graphs: Graphs | None,
) -> Rendered:
    guidance_scale = float(desk.book.made.get("guidance_scale", 7.5))
    size = (desk.book.width, desk.book.height)
    frame = Frame(*size, guidance_scale, plan.solver, schedule, correction)
    return render(desk.model, [Prompt("a red apple", None, 0)] * batch, frame, graphs=graphs)
