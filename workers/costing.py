"""What stages and units of a model cost on this device."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from schedules.cost import CostModel, StageCosts
from schedules.rules import all_compute, uniform
from schedules.units import Role
from workers.images import to_pixels, to_png
from workers.sampler import Frame, Prompt, decode, denoise, encode, initial_latents
from workers.units import replaced_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.families import Conditioning
    from workers.pipeline import Model

PAIRS_A_RUN = 2
LEAST = 2
_T = TypeVar("_T")


class Clock:
    """Marks on the device's own time line: CUDA events on a GPU, the monotonic clock elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"

    def mark(self) -> Any:
        """Return this moment."""
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def settle(self) -> None:
        """Wait until all work so far is done."""
        if self._cuda:
            torch.cuda.synchronize()

    def ms(self, start: Any, end: Any) -> float:
        """Return the milliseconds between two marks; `settle` first."""
        return float(start.elapsed_time(end)) if self._cuda else (end - start) * 1e3


@dataclass(frozen=True, slots=True)
class Bench:
    """What costs are measured with: `prompt` drawn `batch` times in `frame`."""

    model: Model
    frame: Frame
    prompt: str
    batch: int

    @property
    def prompts(self) -> list[Prompt]:
        """Different texts, so that encoding costs what it costs when jobs are unrelated."""
        return [Prompt(f"{self.prompt} {i}", None, i) for i in range(self.batch)]


def measure_costs(
    model: Model,
    width: int,
    height: int,
    guidance_scale: float,
    batches: Sequence[int],
    seconds: float = 1.0,
    on_batch: Callable[[int], None] = lambda _batch: None,
) -> CostModel:
    """Measure all stage and unit costs on this device for each batch size.

    A batch of one is measured for about `seconds`, larger ones for shorter: they are rarer. Full
    steps, steps that reuse all residual units, and the units in them are timed in turn, and medians
    kept. Unit times are scaled so that with the fixed part they make a full step exactly.
    """
    measured = []
    for batch in batches:
        costs = batch_costs(model, width, height, guidance_scale, batch, seconds)
        measured.append((batch, costs))
        on_batch(batch)
    return CostModel(tuple(measured))


def batch_costs(
    model: Model, width: int, height: int, guidance_scale: float, batch: int, seconds: float
) -> StageCosts:
    """Measure what `measure_costs` does for one batch size, for about `seconds` ÷ `batch`."""
    schedule = all_compute(1, model.units.graph)
    frame = Frame(width, height, guidance_scale, "dpmpp_2m", schedule)
    return _stage_costs(Bench(model, frame, "a red apple", batch), seconds / batch)


@torch.inference_mode()
def _stage_costs(bench: Bench, seconds: float) -> StageCosts:
    model, clock = bench.model, Clock(bench.model.device)
    _walk(bench, clock)  # the first run pays for memory and kernel choice
    walks = list(_repeated(lambda: _walk(bench, clock), seconds * 0.3))
    conditioning = encode(model, bench.prompts, bench.frame)
    latents = initial_latents(model, bench.prompts, bench.frame)
    costs = denoise_costs(model, conditioning, latents, bench.frame, seconds)
    encode_ms, decode_ms, png_ms = (median(times) for times in zip(*walks, strict=True))
    return replace(costs, encode_ms=encode_ms, decode_ms=decode_ms, png_ms=png_ms)


@torch.inference_mode()
def denoise_costs(
    model: Model, conditioning: Conditioning, latents: Tensor, frame: Frame, seconds: float
) -> StageCosts:
    """Measure start, steps and units of the denoising loop; the other stages are left at 0."""
    start, full, reuse, units = _step_costs(model, conditioning, latents, frame, seconds)
    (output,) = model.units.graph.with_role(Role.OUTPUT)
    call_ms = units[output]
    units[output] = max(
        call_ms - sum(units[u] for u in model.units.graph.with_role(Role.SAMPLER)), 0
    )
    fixed = max(reuse - call_ms, 0.0)
    scale = (full - fixed) / (sum(units) or 1.0)
    return StageCosts(0.0, start, fixed, tuple(ms * scale for ms in units), 0.0, 0.0)


def _walk(bench: Bench, clock: Clock) -> tuple[float, float, float]:
    """Encode, decode and write pictures once; return the milliseconds of each."""
    model, marks = bench.model, [clock.mark()]
    encode(model, bench.prompts, bench.frame)
    marks.append(clock.mark())
    images = decode(model, initial_latents(model, bench.prompts, bench.frame))
    clock.settle()
    marks.append(clock.mark())
    for pixels in to_pixels(images):
        to_png(pixels)
    marks.append(clock.mark())
    clock.settle()
    return clock.ms(*marks[0:2]), clock.ms(*marks[1:3]), clock.ms(*marks[2:4])


def _repeated(action: Callable[[], _T], seconds: float) -> Iterator[_T]:
    """Repeat for about `seconds`, at least LEAST times."""
    end = time.perf_counter() + seconds
    for count in range(1000):
        if count >= LEAST and time.perf_counter() > end:
            return
        yield action()


def _step_costs(
    model: Model, conditioning: Conditioning, latents: Tensor, frame: Frame, seconds: float
) -> tuple[float, float, float, list[float]]:
    """Return medians in ms: of the start, a full step, one that reuses all residual units, units.

    The UNet's output stands for the whole call when all residual units are reused.
    """
    graph, clock = model.units.graph, Clock(model.device)
    (output,) = graph.with_role(Role.OUTPUT)
    alternating = replace(frame, schedule=uniform(2 * PAIRS_A_RUN + 1, graph, 2))

    def run() -> tuple[list[float], list[list[float]]]:
        with _timed_units(model, clock) as spans:
            marks = [clock.mark()]
            denoise(model, conditioning, latents, alternating, marking(marks, clock))
        clock.settle()
        spans[output] = spans[output][1::2]
        units = [[clock.ms(*span) for span in of_unit] for of_unit in spans]
        return [clock.ms(a, b) for a, b in pairwise(marks)], units

    runs = list(_repeated(run, seconds))
    reuse_steps = [ms for steps, _ in runs for ms in steps[1::2]]
    full_steps = [ms for steps, _ in runs for ms in steps[2::2]]
    units = [[ms for _, all_units in runs for ms in all_units[u]] for u in range(len(graph))]
    full = median(full_steps)
    start = max(median(steps[0] for steps, _ in runs) - full, 0.0)
    return start, full, median(reuse_steps), [median(ms) if ms else 0.0 for ms in units]


def marking(marks: list[Any], clock: Clock) -> Callable[[int, CacheRun, Tensor], bool]:
    """Return what marks the end of every step of a run."""

    def on_step(_step: int, _run: CacheRun, _latents: Tensor) -> bool:
        marks.append(clock.mark())
        return True

    return on_step


@contextmanager
def _timed_units(model: Model, clock: Clock) -> Iterator[list[list[tuple[Any, Any]]]]:
    """Collect start and end of every computation of every unit; entries do no work."""
    spans: list[list[tuple[Any, Any]]] = [[] for _ in model.units.modules]

    def timed(forward: Callable[..., Any], of_unit: list[tuple[Any, Any]]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = clock.mark()
            result = forward(*args, **kwargs)
            of_unit.append((start, clock.mark()))
            return result

        return run

    with ExitStack() as stack:
        for entry, of_unit in zip(model.units.modules, spans, strict=True):
            if entry.unit.role is not Role.ENTRY:
                stand_in = timed(entry.module.forward, of_unit)
                stack.enter_context(replaced_forward(entry.module, stand_in))
        yield spans
