"""Pictures nobody asked for: they tell how this machine's times compare with its costs."""

from __future__ import annotations

import io
import logging
import time
from collections import deque
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from schedules.planner import price
from schedules.rules import all_compute
from workers.cached_unet import cache_run
from workers.colours import fitted
from workers.families import is_checked
from workers.halving import free_memory, is_out_of_memory
from workers.images import to_tensor
from workers.moves import moves_of
from workers.rendering import render
from workers.sampler import Frame, Prompt
from workers.speed import Took

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from schedules.book import Plan
    from schedules.cost import CostModel
    from schedules.schedule import Schedule
    from workers.batch import Desk
    from workers.colours import Colours, Sample
    from workers.correction import Correction
    from workers.graphs import Graphs
    from workers.moves import Move
    from workers.rendering import Rendered
    from workers.sampler import OnDenoised

log = logging.getLogger(__name__)
WARM_UP_PLANS = 3
WARM_UP_SPAN = 4.0
WARM_UP_ROUNDS = 2
RECORD_S = 60.0
# Half precision may round otherwise in a replay; a wrong picture is tens of levels away.
MOST_APART = 1.0
# A picture right after another finds its weights in the caches; those asked for seldom do.
PAUSE_S = 0.05
USUAL = Prompt("a red apple", None, 0)
COLOURFUL = (
    "a red apple", "a green tree", "a blue car", "a yellow sun", "a black cat", "a white house",
    "a purple flower",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Warmth:
    """What pictures took by which nobody was served, and the colours that latents had in them."""

    took: tuple[Took, ...]
    colours: Colours | None


def warm_up(desk: Desk) -> Warmth:
    """Make pictures by plans within WARM_UP_SPAN of the cheapest; return what came of it.

    The very first picture pays for what a process does only once, and what it took is not counted.
    Pictures that are checked before anybody may see them have no colours: nothing checks latents.
    """
    chosen = warm_up_plans(desk.book.frontier(desk.costs), desk.costs)
    plans = (chosen[0], *chosen * WARM_UP_ROUNDS)
    found = [
        _seen(desk, plan, Prompt(t, None, 0))
        for plan, t in zip(plans, cycle(COLOURFUL), strict=False)
    ]
    took, samples = zip(*found, strict=True)
    colours = None if is_checked(desk.model.pipe) else fitted(samples)
    return Warmth(took[1:], colours)


def _seen(desk: Desk, plan: Plan, prompt: Prompt) -> tuple[Took, Sample]:
    """Make a picture after a pause; return what it took, its latents and what they look like."""
    expected: deque[Tensor] = deque(maxlen=1)
    time.sleep(PAUSE_S)
    made = _promised(desk, plan, prompt, lambda _step, latents: expected.append(latents))
    return _took(desk, plan, made), (expected[0][0], to_tensor(_pixels(made))[0])


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
    levels = [_pixels(made).astype(float) for made in (eager, replayed)]
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
    plan = desk.book.frontier(desk.costs)[0]
    return _took(desk, plan, _promised(desk, plan))


def warm_up_plans(frontier: Sequence[Plan], costs: CostModel) -> list[Plan]:
    """Return WARM_UP_PLANS or fewer, spread over the cheap end of a frontier."""
    longest_ms = WARM_UP_SPAN * price(frontier[0], costs).predicted_ms
    cheap = [plan for plan in frontier if price(plan, costs).predicted_ms <= longest_ms]
    return cheap[:: -(-len(cheap) // WARM_UP_PLANS)]


def _took(desk: Desk, plan: Plan, made: Rendered) -> Took:
    return Took(price(plan, desk.costs).predicted_ms, made.total_ms)


def _promised(
    desk: Desk, plan: Plan, prompt: Prompt = USUAL, on_denoised: OnDenoised | None = None
) -> Rendered:
    """Make one picture as a request gets it by this plan."""
    how = (plan.schedule, 1, desk.correction_of(plan), desk.graphs)
    return _made(desk, plan, *how, prompt, on_denoised)


def _pixels(made: Rendered) -> NDArray[np.uint8]:
    """Return the first picture, 1 × H × W × 3."""
    return np.array(Image.open(io.BytesIO(made.images[0])))[None]


def _made(
    desk: Desk,
    plan: Plan,
    schedule: Schedule,
    batch: int,
    correction: Correction | None,
    graphs: Graphs | None,
    prompt: Prompt = USUAL,
    on_denoised: OnDenoised | None = None,
) -> Rendered:
    guidance_scale = float(desk.book.made.get("guidance_scale", 7.5))
    size = (desk.book.width, desk.book.height)
    frame = Frame(*size, guidance_scale, plan.solver, schedule, correction)
    prompts = [prompt] * batch
    return render(desk.model, prompts, frame, on_denoised=on_denoised, graphs=graphs)
