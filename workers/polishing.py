"""Train fitted corrections on, as the paper trains its own, in slices that are kept one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from workers import calibration_parts as parts
from workers.training import Training, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schedules.schedule import Schedule
    from workers.correcting import Corrected, Correcting
    from workers.correction import Correction

SLICE_S = 20.0
# What least squares found is nearly right: steps are smaller than those that begin from nothing.
SETTINGS = TrainingSettings(learning_rate=3e-4, weight_decay=0.0)


def polished(
    correcting: Correcting, known: Sequence[Corrected], best: Sequence[Corrected], minutes: float
) -> list[Corrected]:
    """Return all that is known, the best with corrections trained on where those come closer.

    Each is trained for so many minutes; what was interrupted goes on at its last slice.
    """
    closer = {}
    for number, one in enumerate(best):
        trained = _trained(correcting, one, minutes, (number, len(best)))
        found = correcting.judged("trained", one.plan, trained)
        closer[_table(one)] = max(one, found, key=lambda each: each.plan.quality.value)
    return [closer.get(_table(one), one) for one in known]


def _table(one: Corrected) -> tuple[str, Schedule]:
    return one.plan.solver, one.plan.schedule


def _trained(
    correcting: Correcting, one: Corrected, minutes: float, place: tuple[int, int]
) -> Correction:
    plan, settings = one.plan, correcting.settings
    frame = replace(settings.frame(plan.solver, plan.schedule), correction=one.correction)
    training = Training(correcting.model, frame, settings.prompts, SETTINGS)
    slices, (number, plans) = math.ceil(minutes * 60 / SLICE_S), place
    for done in range(slices):
        part = parts.training(done, plan, training)
        correcting.keep(part, partial(_slice, training, minutes * 60 / slices))
        correcting.progress("training", number * slices + done + 1, plans * slices)
    return training.correction


def _slice(training: Training, seconds: float) -> Training:
    """Train for some time, one iteration at least."""
    end_s = monotonic() + seconds
    training.run(1)
    while monotonic() < end_s:
        training.run(1)
    return training
