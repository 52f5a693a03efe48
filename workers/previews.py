"""How the pictures of a batch look on their way, for those who asked to see it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from workers.encoding import to_file
from workers.images import to_pixels
from workers.sampler import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from app.contract.ports import Claimed
    from workers.pipeline import Model

    Show = Callable[[Claimed, int, bytes], None]


def nobody(_claim: Claimed, _number: int, _picture: bytes) -> None:
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


class Previews:
    """Decodes the first picture of each job at its preview steps and gives it to `show`.

    It is decoded in full, by what is known of the finished picture at that step.
    """

    def __init__(self, model: Model, claims: Sequence[Claimed], steps: int, show: Show) -> None:
        self._model = model
        self._show = show
        self._due: list[list[tuple[int, Claimed, int]]] = [[] for _ in range(steps)]
        row = 0
        for claim in claims:
            for number, step in enumerate(preview_steps(claim.job.previews, steps)):
                self._due[step].append((row, claim, number))
            row += claim.job.images

    def __call__(self, step: int, denoised: Tensor) -> None:
        """Show what is due after a step; `denoised` are the finished latents it expects."""
        for row, claim, number in self._due[step]:
            (pixels,) = to_pixels(decode(self._model, denoised[row : row + 1]))
            encoding = replace(claim.job.encoding, described=False)
            self._show(claim, number, to_file(pixels, encoding))

    def remaining_ms(self, decode_ms: float) -> list[float]:
        """Return the time that previews still take after each step, and before the first one."""
        if not any(self._due):
            return [0.0] * (len(self._due) + 1)
        later = accumulate((len(due) for due in reversed(self._due)), initial=0)
        return [decode_ms * count for count in later][::-1]
