"""Pictures nobody asked for: they tell how this machine's times compare with its costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from schedules.planner import price
from workers.rendering import render
from workers.sampler import Frame, Prompt
from workers.speed import Took

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schedules.book import Plan
    from schedules.cost import CostModel
    from workers.batch import Desk

WARM_UP_PLANS = 3
WARM_UP_SPAN = 4.0
WARM_UP_ROUNDS = 2
# A picture right after another finds its weights in the caches; those asked for seldom do.
PAUSE_S = 0.05


def warm_up(desk: Desk) -> list[Took]:
    """Make pictures by plans within WARM_UP_SPAN of the cheapest; return what they took.

    The very first picture pays for what a process does only once, and is not counted, nor are those
    that find out what graphs are wanted.
    """
    chosen = warm_up_plans(desk.book.frontier(desk.costs), desk.costs)
    for plan in chosen if desk.graphs.are_on else ():
        _took(desk, plan)
        desk.graphs.capture()
    found = []
    for plan in (chosen[0], *chosen * WARM_UP_ROUNDS):
        time.sleep(PAUSE_S)
        found.append(_took(desk, plan))
    return found[1:]


def probe(desk: Desk) -> Took:
    """Make a picture by the cheapest plan; return what it took."""
    return _took(desk, desk.book.frontier(desk.costs)[0])


def warm_up_plans(frontier: Sequence[Plan], costs: CostModel) -> list[Plan]:
    """Return WARM_UP_PLANS or fewer, spread over the cheap end of a frontier."""
    longest_ms = WARM_UP_SPAN * price(frontier[0], costs).predicted_ms
    cheap = [plan for plan in frontier if price(plan, costs).predicted_ms <= longest_ms]
    return cheap[:: -(-len(cheap) // WARM_UP_PLANS)]


def _took(desk: Desk, plan: Plan) -> Took:
    guidance_scale = float(desk.book.made.get("guidance_scale", 7.5))
    size, correction = (desk.book.width, desk.book.height), desk.correction_of(plan)
    frame = Frame(*size, guidance_scale, plan.solver, plan.schedule, correction)
    made = render(desk.model, [Prompt("a red apple", None, 0)], frame, graphs=desk.graphs)
    return Took(price(plan, desk.costs).predicted_ms, made.total_ms)
