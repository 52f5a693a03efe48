"""How the pictures of a batch look on their way, for those who asked to see it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from app.contract.jobs import Encoding
from workers.encoding import to_file
from workers.images import to_pixels
from workers.sampler import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from app.contract.jobs import Job
    from app.contract.ports import Claimed
    from workers.colours import Colours
    from workers.pipeline import Model

    Draw = Callable[[], bytes]
    Show = Callable[[Claimed, int, Draw], None]

# The longer side of a small preview, at most. Smooth as it is, JPEG keeps it in a few kilobytes.
SIDE_PX = 256
SMALL = Encoding("jpeg", 85, described=False)


def nobody(_claim: Claimed, _number: int, _draw: Draw) -> None:
    """Show nothing."""


@contextmanager
def aside(claims: Sequence[Claimed], show: Show) -> Iterator[Show]:
    """Give what calls `show` from another thread: a slow store slows no step down.

    All is shown when the context ends. Where nobody asked for previews there is no thread.
    """
    if not any(claim.job.previews for claim in claims):
        yield nobody
        return
    with ThreadPoolExecutor(1, "previews") as sending:

        def submit(*shown: Any) -> None:
            sending.submit(show, *shown)

        yield submit


def preview_steps(count: int, steps: int) -> list[int]:
    """Return the steps after which previews are shown: evenly spread, none twice, not the last."""
    spread = (round(steps * (i + 1) / (count + 1)) - 1 for i in range(count))
    return sorted({step for step in spread if 0 <= step < steps - 1})


def decoded(job: Job, colours: Colours | None) -> int:
    """Return how many previews of a job are decoded in full, which takes time: all or none.

    All where nobody knows the model's colours.
    """
    return job.previews if job.full_previews or colours is None else 0


class Previews:
    """Draws the first picture of each job at its preview steps and gives that to `show`.

    What is drawn is the finished picture as it is expected at that step: small and by `colours`, or
    decoded in full where `decoded` says so and `in_full` that there is time for it.
    """

    def __init__(
        self,
        model: Model,
        colours: Colours | None,
        claims: Sequence[Claimed],
        steps: int,
        show: Show,
        *,
        in_full: bool = True,
    ) -> None:
        self._model = model
        self._colours = colours
        self._show = show
        self._due: list[list[tuple[int, Claimed, int]]] = [[] for _ in range(steps)]
        row = 0
        for claim in claims:
            wanted = claim.job.previews if in_full or not decoded(claim.job, colours) else 0
            for number, step in enumerate(preview_steps(wanted, steps)):
                self._due[step].append((row, claim, number))
            row += claim.job.images

    def __call__(self, step: int, denoised: Tensor) -> None:
        """Show what is due after a step; `denoised` are the finished latents it expects."""
        for row, claim, number in self._due[step]:
            self._show(claim, number, self._drawn(claim.job, denoised[row : row + 1]))

    def _drawn(self, job: Job, latents: Tensor) -> Draw:
        """Return what makes the file: the steps go on meanwhile."""
        if self._colours is None or decoded(job, self._colours):
            (pixels,) = to_pixels(decode(self._model, latents))
            return partial(to_file, pixels, job.encoding.copy(described=False))
        return partial(_small, self._colours(latents), (job.width, job.height))

    def remaining_ms(self, decode_ms: float) -> list[float]:
        """Return the time that previews still take after each step, and before the first one."""
        if not any(self._due):
            return [0.0] * (len(self._due) + 1)
        counts = [
            sum(decoded(claim.job, self._colours) > 0 for _, claim, _ in due) for due in self._due
        ]
        return [decode_ms * count for count in accumulate(reversed(counts), initial=0)][::-1]


def _small(picture: Tensor, size: tuple[int, int]) -> bytes:
    """Enlarge a small picture towards the finished one's size, smoothly."""
    (pixels,) = to_pixels(picture)
    scale = min(1.0, SIDE_PX / max(size))
    shown = (max(round(size[0] * scale), 1), max(round(size[1] * scale), 1))
    large = Image.fromarray(pixels).resize(shown, Image.Resampling.BICUBIC)
    return to_file(np.asarray(large), SMALL)
