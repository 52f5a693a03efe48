"""Pictures of a calibration, made in batches under any plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from workers.images import to_pixels
from workers.sampler import always, decode, denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from schedules.schedule import Schedule
    from workers.calibration_settings import CalibrationSettings
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.sampler import Frame, OnStep, Prompt


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
        frame = replace(self._settings.frame(solver, schedule), correction=correction)
        requests = self._settings.requests[:count]
        chunks = [requests[i : i + self._batch] for i in range(0, count, self._batch)]
        return np.concatenate([self._chunk(chunk, frame, on_step) for chunk in chunks])

    def _chunk(
        self, requests: Sequence[Prompt], frame: Frame, on_step: OnStep
    ) -> NDArray[np.uint8]:
        conditioning = encode(self._model, requests, frame)
        start = initial_latents(self._model, requests, frame)
        latents, _ = denoise(self._model, conditioning, start, frame, on_step)
        return to_pixels(decode(self._model, latents))
