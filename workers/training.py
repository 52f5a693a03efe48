"""Train corrections as the paper does (Wimbauer et al., CVPR 2024, scale-shift adjustment).

The student is the cached UNet with trainable scales and shifts, rolled out from pure noise. At
every step the teacher, the same frozen UNet uncached, runs on the student's x_t, and the student's
unit outputs are drawn to the teacher's. No gradient flows from one step to another.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from schedules.rules import all_compute
from schedules.schedule import Work
from workers.cached_unet import CacheRun, cache_run, installed
from workers.correction import Correction, Origin
from workers.fixes import identity
from workers.sampler import Prompt, Walk, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from workers.pipeline import Model
    from workers.sampler import Frame
    from workers.units import UNetUnits


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What the paper leaves open: a batch of pictures is rolled out for each step of AdamW.

    Weight decay pulls γ to 1 and β to 0.
    """

    batch: int = 4
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2


class Training:
    """Trains the correction of the frame's schedule, from the frame's own, or one of no change, on.

    Iteration i takes the texts in turn and every picture from a seed of its own, so that training
    continued from its `terms`, `optimiser` state and `iteration` is as if never interrupted.
    """

    def __init__(
        self, model: Model, frame: Frame, texts: Sequence[str], settings: TrainingSettings
    ) -> None:
        self._model, self._frame, self._texts, self._batch = model, frame, texts, settings.batch
        self._work = frame.schedule.work(model.units.graph)
        self._teacher = CacheRun(all_compute(1, model.units.graph), model.units)
        begun = frame.correction
        kind = "two-tap-trained" if begun is not None and begun.is_two_tap else "trained"
        self.origin = Origin.of(model, frame, kind)
        start = begun or identity(self.origin, frame.schedule, model.units)
        self.terms = {
            name: nn.Parameter(table.to(model.device).float())
            for name, table in start.terms.items()
        }
        self.optimiser = torch.optim.AdamW(
            self.terms.values(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.iteration = 0

    @property
    def correction(self) -> Correction:
        """The correction as trained so far."""
        return Correction.of(self.origin, self.terms)

    def run(
        self,
        iterations: int,
        on_iteration: Callable[[int, float], None] = lambda _done, _loss: None,
    ) -> Correction:
        """Train so many more iterations; `on_iteration(done, loss)` hears of each."""
        for _ in range(iterations):
            loss = self._rollout()
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.iteration += 1
            on_iteration(self.iteration, loss)
        return self.correction

    def _rollout(self) -> float:
        """Leave the gradients of all steps of one batch in the terms; return the summed loss."""
        model, frame, first = self._model, self._frame, self._batch * self.iteration
        numbers = range(first, first + self._batch)
        prompts = [Prompt(self._texts[n % len(self._texts)], None, n) for n in numbers]
        with torch.no_grad():
            noise = initial_latents(model, prompts, frame)
            walk = Walk(model, encode(model, prompts, frame), noise, frame)
        terms = {name: table.to(model.dtype) for name, table in self.terms.items()}
        run = cache_run(model.units, frame.schedule, Correction("", self.origin, terms))
        return sum(self._step(step, walk, run) for step in range(frame.schedule.steps))

    def _step(self, step: int, walk: Walk, run: CacheRun) -> float:
        is_corrected = Work.REUSED in self._work[step]
        run.begin_step(step)
        with torch.set_grad_enabled(is_corrected), _observed(self._model.units, run) as outputs:
            prediction = walk.predict(step)
        loss = self._taught(step, walk, outputs, prediction) if is_corrected else 0.0
        run.detach()
        walk.advance(step, prediction.detach())
        return loss

    def _taught(
        self, step: int, walk: Walk, outputs: dict[int, Tensor], prediction: Tensor
    ) -> float:
        self._teacher.begin_step(0)
        with torch.no_grad(), _observed(self._model.units, self._teacher) as targets:
            target = walk.predict(step)
        live = [u for u, work in enumerate(self._work[step]) if work is not Work.SKIPPED]
        pairs = [(outputs[u], targets[u]) for u in live]
        errors = [relative_error(y, wanted) for y, wanted in (*pairs, (prediction, target))]
        loss = torch.stack(errors).sum()
        loss.backward(inputs=list(self.terms.values()))
        return float(loss.detach())


def relative_error(value: Tensor, wanted: Tensor) -> Tensor:
    """Return ‖value − wanted‖² ÷ ‖wanted‖² over the whole batch, in single precision."""
    wanted = wanted.float()
    return (value.float() - wanted).square().sum() / wanted.square().sum().clamp(min=1e-12)


@contextmanager
def _observed(units: UNetUnits, run: CacheRun) -> Iterator[dict[int, Tensor]]:
    """Let the UNet use a cache inside this context; collects what each unit's module gives."""
    outputs: dict[int, Tensor] = {}

    def watch(u: int) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, _inputs: Any, result: Any) -> None:
            outputs[u] = units.modules[u].unpacked(result)

        return hook

    with installed(units, run), ExitStack() as stack:
        for u, entry in enumerate(units.modules):
            stack.callback(entry.module.register_forward_hook(watch(u)).remove)
        yield outputs
