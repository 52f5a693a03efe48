"""Pictures nobody asked for: they tell which colours the latents of a model have."""

from __future__ import annotations

from collections import deque
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from schedules.planner import price
from workers.colours import fitted
from workers.families import is_checked
from workers.images import to_tensor
from workers.rendering import render
from workers.sampler import Frame, Prompt

if TYPE_CHECKING:
    from torch import Tensor

    from schedules.book import Plan
    from workers.batch import Desk
    from workers.colours import Colours, Sample

COLOURFUL = ("red apple", "green tree", "blue car", "black cat")
# Pictures of too few steps have latents unlike others, but a worker has to start.
MOST_MS = 500.0


def colours_of(desk: Desk) -> Colours | None:
    """Return the colours that latents have in a few pictures made for that; takes some seconds.

    None where pictures are checked before anybody may see them: nobody could check these.
    """
    if is_checked(desk.model.pipe):
        return None
    plan = _good(desk)
    return fitted([_seen(desk, plan, Prompt(text, None, 0)) for text in COLOURFUL])


def _good(desk: Desk) -> Plan:
    """Return the best plan of at most MOST_MS, the cheapest when there is none."""
    cheapest, *others = desk.book.frontier(desk.costs)
    quick = (plan for plan in others if price(plan, desk.costs).predicted_ms <= MOST_MS)
    return max((cheapest, *quick), key=lambda plan: plan.quality.value)


def _seen(desk: Desk, plan: Plan, prompt: Prompt) -> Sample:
    """Make a picture; return its latents and what they look like."""
    size, scale = (desk.book.width, desk.book.height), desk.book.made.get("guidance_scale", 7.5)
    frame = Frame(*size, float(scale), plan.solver, plan.schedule, desk.correction_of(plan))
    expected: deque[Tensor] = deque(maxlen=1)

    def keep(_step: int, denoised: Tensor) -> None:
        expected.append(denoised[0])

    made = render(desk.model, [prompt], frame, on_denoised=keep, graphs=desk.graphs)
    pixels = np.array(Image.open(BytesIO(made.images[0])))
    return expected[0], to_tensor(pixels[None])[0]
