"""Of schedules that are as quick as one another, the one whose corrected run ends closest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from workers.fitting import fit
from workers.quality import log_error
from workers.sampler import denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor

    from schedules.schedule import Schedule
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.sampler import Frame, Prompt

    Progress = Callable[[str, int, int], None]

BATCH = 8


@dataclass(frozen=True, slots=True)
class Fitted:
    """A run with its correction, and how far it ends from the uncached one of the same steps."""

    frame: Frame
    error: float


@dataclass(frozen=True)
class Closest:
    """Fits two-tap corrections over `pictures`, and compares runs by their final latents.

    `uncached` is the frame of the uncached run; `spent` notes how long the making of what takes.
    """

    model: Model
    uncached: Frame
    pictures: Sequence[Prompt]
    progress: Progress
    spent: Callable[[str], AbstractContextManager[None]]

    def of(self, schedules: Iterable[Schedule]) -> Fitted:
        """Return the closest of the schedules."""
        fitted = [self._fitted(one) for one in dict.fromkeys(schedules)]
        return min(fitted, key=lambda one: one.error)

    def _fitted(self, schedule: Schedule) -> Fitted:
        if schedule not in self._known:
            self._known[schedule] = self._judged(schedule)
        return self._known[schedule]

    @cached_property
    def _known(self) -> dict[Schedule, Fitted]:
        return {}

    def _judged(self, schedule: Schedule) -> Fitted:
        frame = replace(self.uncached, schedule=schedule)
        if schedule.reuses(self.model.units.graph):
            frame = replace(frame, correction=self._correction(frame))
        return Fitted(frame, log_error(self._latents(frame), self._reference))

    def _correction(self, frame: Frame) -> Correction:
        def tell(_stage: str, done: int, total: int) -> None:
            self.progress("correction: two taps", done, total)

        with self.spent("two taps"):
            return fit(self.model, frame, self.pictures, two_tap=True, batch=BATCH, progress=tell)

    @cached_property
    def _reference(self) -> Tensor:
        return self._latents(self.uncached)

    @torch.inference_mode()
    def _latents(self, frame: Frame) -> Tensor:
        found = []
        for start in range(0, len(self.pictures), BATCH):
            batch = self.pictures[start : start + BATCH]
            noise = initial_latents(self.model, batch, frame)
            found.append(denoise(self.model, encode(self.model, batch, frame), noise, frame)[0])
        return torch.cat(found)
