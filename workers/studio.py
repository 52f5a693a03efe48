"""Pictures of a calibration, made in batches under any plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from workers.images import to_pixels
from workers.sampler import always, decode, denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from schedules.schedule import Schedule
    from workers.calibration_settings import CalibrationSettings
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.sampler import OnStep


class Studio:
    """Makes the calibration pictures of one model, in batches, under any plan."""

    def __init__(self, model: Model, settings: CalibrationSettings) -> None:
        self._model = model
        self._settings = settings
        self._batch = max(settings.batches)

    @torch.inference_mode()
    def pictures(
        self,
        solver: str,
        schedule: Schedule,
        count: int,
        on_step: OnStep = always,
        correction: Correction | None = None,
    ) -> NDArray[np.uint8]:
        """Return the first `count` pictures, B × H × W × 3."""
        chunks = self._chunks(solver, schedule, count, on_step, correction)
        return np.concatenate([to_pixels(decode(self._model, latents)) for latents in chunks])

    @torch.inference_mode()
    def latents(
        self, solver: str, schedule: Schedule, count: int, correction: Correction | None = None
    ) -> Tensor:
        """Return the final latents of the first `count` pictures."""
        return torch.cat(list(self._chunks(solver, schedule, count, always, correction)))

    def _chunks(
        self,
        solver: str,
        schedule: Schedule,
        count: int,
        on_step: OnStep,
        correction: Correction | None,
    ) -> Iterator[Tensor]:
        frame = replace(self._settings.frame(solver, schedule), correction=correction)
        requests = self._settings.requests[:count]
        for start in range(0, len(requests), self._batch):
            chunk = requests[start : start + self._batch]
            conditioning = encode(self._model, chunk, frame)
            noise = initial_latents(self._model, chunk, frame)
            yield denoise(self._model, conditioning, noise, frame, on_step)[0]
