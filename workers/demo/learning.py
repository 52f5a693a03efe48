"""The training loop that all parts share: resumable, averaged, the same whenever it is stopped.

Laws of this file:
1. Everything random in step s comes from a generator seeded by s, so that a run that was stopped
   and resumed learns exactly what an uninterrupted one does.
2. A stage is over when its checkpoint has all steps behind it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from workers.demo import checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from workers.demo.presets import Course

    OnStep = Callable[["Learner", float], None]

WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.99)
CLIP_NORM = 1.0
SAVE_EVERY_S = 120.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """One stage: networks to train together, their loss, and where the state is kept.

    `loss(networks, generator)` returns the mean loss of one batch drawn with the generator.
    """

    networks: nn.ModuleDict
    loss: Callable[[nn.ModuleDict, torch.Generator], Tensor]
    course: Course
    state: Path
    half: bool = False


class Learner:
    """Trains one lesson step by step; picks up where its state file left off."""

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson
        self._networks = lesson.networks
        average = get_ema_multi_avg_fn(lesson.course.averaging)
        self._average = AveragedModel(lesson.networks, multi_avg_fn=average)
        self._both = nn.ModuleDict({"now": self._networks, "average": self._average})
        self._optimizer = torch.optim.AdamW(
            self._networks.parameters(), betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True
        )
        self.done = checkpoints.load(lesson.state, self._both, self._optimizer)

    @property
    def averaged(self) -> nn.ModuleDict:
        """The running average of the networks: what is worth keeping."""
        found = self._average.module
        if not isinstance(found, nn.ModuleDict):
            raise TypeError(f"the average holds a {type(found).__name__}")
        return found

    def save(self) -> None:
        """Write the state, so that a later run goes on from here."""
        checkpoints.save(self._lesson.state, self._both, self._optimizer, self.done)

    def losses(self) -> Iterator[float]:
        """Train to the end of the course, yielding each step's loss; saves every few minutes."""
        saved_s = time.monotonic()
        while self.done < self._lesson.course.steps:
            yield self._step()
            if time.monotonic() - saved_s > SAVE_EVERY_S:
                self.save()
                saved_s = time.monotonic()
        self.save()

    def _step(self) -> float:
        lesson = self._lesson
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(lesson.course, self.done)
        device = next(self._networks.parameters()).device
        generator = torch.Generator().manual_seed(self.done)
        self._optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=lesson.half):
            loss = lesson.loss(self._networks, generator)
        loss.backward()
        nn.utils.clip_grad_norm_(self._networks.parameters(), CLIP_NORM)
        self._optimizer.step()
        self._average.update_parameters(self._networks)
        self.done += 1
        return float(loss.detach())


def learning_rate(course: Course, step: int) -> float:
    """Return the rate of a step: a linear warm-up, then half a cosine down to 0."""
    if step < course.warm_up:
        return course.learning_rate * (step + 1) / course.warm_up
    progress = (step - course.warm_up) / max(course.steps - course.warm_up, 1)
    return course.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def learn(lesson: Lesson, on_step: OnStep) -> nn.ModuleDict:
    """Train a lesson to its end, or as far as nobody interrupts; return the averaged networks.

    The state is saved when it ends, is interrupted or fails. `on_step(learner, loss)` follows it.
    """
    learner = Learner(lesson)
    try:
        for loss in learner.losses():
            on_step(learner, loss)
    except BaseException:
        learner.save()
        raise
    return learner.averaged.eval()
