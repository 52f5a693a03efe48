"""The training loop that all parts share: resumable, averaged, the same whenever it is stopped.

Laws of this file:
1. Everything random in step s comes from a generator seeded by s, so that a run that was stopped
   and resumed learns exactly what an uninterrupted one does.
2. A stage is over when its checkpoint has all steps behind it.
"""

from __future__ import annotations

import math
import time
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call
from torch.optim.swa_utils import get_ema_multi_avg_fn

from workers.demo import checkpoints
from workers.demo.captured_step import CapturedStep
from workers.demo.muon import Muon, matrices_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor
    from torch.optim import Optimizer

    from workers.demo.presets import Course

    OnStep = Callable[["Learner", Tensor], None]

WEIGHT_DECAY = 0.01
ADAM_SHARE = 0.1  # of the matrices' learning rate, for all that are none
BETAS = (0.9, 0.99)
CLIP_NORM = 1.0
SAVE_EVERY_S = 120.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """One stage: networks to train together, their loss, and where the state is kept.

    `draw(generator)` returns the tensors of one random batch, on the generator's device, in the
    same shapes every time; `loss(networks, *tensors)` the mean loss on them.
    """

    networks: nn.ModuleDict
    draw: Callable[[torch.Generator], tuple[Tensor, ...]]
    loss: Callable[..., Tensor]
    course: Course
    state: Path
    half: bool = False

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.networks.parameters()).device


class Whole(nn.Module):
    """A lesson's loss as one module, which can be asked with other weights than its own."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__()
        self.networks = lesson.networks
        self._loss = lesson.loss

    def forward(self, *batch: Tensor) -> Tensor:
        """Return the mean loss on a batch."""
        return self._loss(self.networks, *batch)

    def halved(self, *batch: Tensor) -> Tensor:
        """Return the same, computed in bfloat16 by weights that stay in single precision.

        Autocast would go back to single precision in every norm: small networks wait for memory.
        """
        halves = {name: weights.bfloat16() for name, weights in self.named_parameters()}
        loss: Tensor = functional_call(self, halves, batch)
        return loss


class Learner:
    """Trains one lesson step by step; picks up where its state file left off.

    Matrices learn by Muon, everything else by AdamW.
    """

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson
        self._networks = lesson.networks
        whole = Whole(lesson)
        self._loss = whole.halved if lesson.half else whole
        self.averaged = deepcopy(lesson.networks).requires_grad_(False)
        """The running average of the networks: what is worth keeping."""
        self._both = nn.ModuleDict({"now": self._networks, "average": self.averaged})
        self._average = get_ema_multi_avg_fn(lesson.course.averaging)
        self._optimizers = optimizers(lesson.networks, lesson.device)
        self._update = CapturedStep(self._updated)
        self.done = checkpoints.load(lesson.state, self._both, self._optimizers)

    def save(self) -> None:
        """Write the state, so that a later run goes on from here."""
        checkpoints.save(self._lesson.state, self._both, self._optimizers, self.done)

    def losses(self) -> Iterator[Tensor]:
        """Train to the end of the course, yielding each step's loss; saves every few minutes."""
        saved_s = time.monotonic()
        while self.done < self._lesson.course.steps:
            yield self._step()
            if time.monotonic() - saved_s > SAVE_EVERY_S:
                self.save()
                saved_s = time.monotonic()
        self.save()

    def _step(self) -> Tensor:
        rate = learning_rate(self._lesson.course, self.done)
        for optimizer, share in zip(self._optimizers, (ADAM_SHARE, 1.0), strict=False):
            for group in optimizer.param_groups:
                group["lr"].fill_(rate * share)
        generator = torch.Generator(self._lesson.device).manual_seed(self.done)
        loss = self._update(*self._lesson.draw(generator))
        self.done += 1
        return loss.clone()

    def _updated(self, *batch: Tensor) -> Tensor:
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss = self._loss(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self._networks.parameters(), CLIP_NORM)
        for optimizer in self._optimizers:
            optimizer.step()
        pair = (list(nets.parameters()) for nets in (self.averaged, self._networks))
        self._average(*pair, self.done)
        return loss.detach()


def optimizers(networks: nn.Module, device: torch.device) -> tuple[Optimizer, ...]:
    """Return AdamW for what is no matrix and Muon for the matrices, if there are any.

    Their learning rates are tensors, so that a captured step can follow them.
    """
    matrices, others = matrices_of(networks)
    adam = torch.optim.AdamW(
        others,
        lr=torch.zeros((), device=device),
        betas=BETAS,
        weight_decay=WEIGHT_DECAY,
        fused=True,
        capturable=device.type == "cuda",
    )
    if not matrices:
        return (adam,)
    return adam, Muon(matrices, torch.zeros((), device=device), WEIGHT_DECAY)


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
