"""A UNet whose units reuse their work from earlier steps, for the length of one generation.

Laws of this file:
1. Modules are wrapped, never subclassed; leaving the context restores them exactly.
2. The state belongs to one generation and is driven by the step *index*; nothing here looks at a
   timestep or waits for the device.
3. What is counted is what ran, not what was planned; a replay is told by `replayed`.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from schedules.errors import InvalidSchedule
from schedules.schedule import Counts, Work, work_of
from workers.fixes import prepared
from workers.moves import Move
from workers.pins import Pinned, Pins
from workers.reusing import REUSE, Reused
from workers.units import first_of, replaced_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from torch import Tensor

    from schedules.schedule import Row, Schedule
    from workers.correction import Correction
    from workers.fixes import Fix, Fixes
    from workers.units import BlockModule, UNetUnits, UnitModule

    Forward = Callable[..., Any]


class CacheRun:
    """The cache of one generation: what each unit last computed, and how often it did.

    Call `begin_step(s)` before every UNet call, s = 0, 1, …. `values[u]` is the last computed
    update (residual unit) or output (output unit) of unit u, `before[u]` the computed one before
    it, kept only for the units `forecast`.

    `fixes[s]` corrects the reuses of step s. A fix belongs to values of certain steps: what is
    older or newer than planned is reused as it is.
    """

    def __init__(
        self,
        schedule: Schedule,
        units: UNetUnits,
        fixes: Sequence[Fixes] = (),
        forecast: Collection[int] = (),
    ) -> None:
        self._work = schedule.work(units.graph)
        self._graph = units.graph
        self._fixes = fixes or ({},) * schedule.steps
        self._fixed: Fixes = {}
        self._next: tuple[Work, ...] | None = None
        self._row = self._work[0]
        self._step = 0
        self._begun = 0
        self._computed = 0
        self._reused = 0
        self._shapes: list[tuple[int, ...]] = [()] * len(units.graph)
        self._outlines: dict[BlockModule, Any] = {}
        self._made: list[tuple[int | None, int | None]] = [(None, None)] * len(units.graph)
        self._forecast = forecast
        self.values: list[Any] = [None] * len(units.graph)
        self.before: list[Any] = [None] * len(units.graph)

    def begin_step(self, step: int) -> None:
        """Choose the row that the next UNet call follows: the schedule's, or what it was told."""
        self._step = step
        self._row = self._next or self._work[step]
        self._fixed = self._fixes[step]
        self._next = None
        self._begun += 1

    def follow(self, row: Row) -> None:
        """Let the next step follow `row`, whatever the schedule says; not for step 0."""
        self._next = work_of(row, self._graph)

    @property
    def applied(self) -> Fixes:
        """The fixes that correct reuses in the step begun."""
        reused = (u for u, work in enumerate(self._row) if work is Work.REUSED)
        return {u: fix for u in reused if (fix := self._fix_of(u)) is not None}

    @property
    def move(self) -> Move:
        """What the UNet call of the step begun does."""
        fixed = tuple((u, fix.slope is not None) for u, fix in self.applied.items())
        computed = (u for u in sorted(self._forecast) if self._row[u] is Work.COMPUTED)
        return Move(self._row, fixed, tuple(computed))

    def pin(self, pins: Pins) -> None:
        """Keep all values in `pins`, which no other run may use until `unpin`; between steps."""
        pins.reserve(self._forecast)
        for kept, place in ((self.values, pins.values), (self.before, pins.before)):
            place.take(kept)
        self.values, self.before = pins.values, pins.before
        self._shapes, self._outlines = list(pins.shapes), dict(pins.outlines)

    def unpin(self) -> None:
        """Keep all values in tensors of its own, so that another run may use the pins."""
        if isinstance(self.values, Pinned):
            own = (u if u in self._forecast else None for u in range(len(self.before)))
            self.values = [value.clone() for value in self.values]
            self.before = [None if u is None else self.before[u].clone() for u in own]

    def pins(self) -> Pins:
        """Return tensors for the values of runs of the same shapes; after step 0."""
        return Pins.like(self.values, self._shapes, self._outlines)

    def rehearse(self, move: Move, fixes: Fixes) -> None:
        """Let every UNet call from now on make this move, corrected by `fixes`."""
        self._row, self._fixed, self._forecast = move.row, fixes, set(move.forecast)
        self._made = [
            fixes[u].sources if u in fixes else (None, None) for u in range(len(move.row))
        ]

    def replayed(self) -> None:
        """Note that the call of the step begun was replayed instead of made."""
        for u, work in enumerate(self._row):
            self._reused += work is Work.REUSED
            if work is Work.COMPUTED:
                self._computed += 1
                self._made[u] = (self._step, self._made[u][0])

    def detach(self) -> None:
        """Let no gradient flow back through what is cached."""
        for kept in (self.values, self.before):
            kept[:] = [value if value is None else value.detach() for value in kept]

    @property
    def counts(self) -> Counts:
        """Block executions so far; what neither computed nor reused was skipped."""
        total = self._begun * len(self.values)
        return Counts(self._computed, self._reused, total - self._computed - self._reused)

    def wrap(self, u: int, entry: UnitModule) -> Forward:
        """Return the stand-in for the module's forward: computes, reuses or skips unit u."""
        original, reuse = entry.module.forward, REUSE[entry.unit.role](entry)

        def forward(*args: Any, **kwargs: Any) -> Any:
            work = self._row[u]
            if work is Work.COMPUTED:
                return self._computing(u, entry, original(*args, **kwargs))
            x = first_of(args, kwargs)
            if work is Work.SKIPPED:
                return entry.packed(_hollow(self._shapes[u], x))
            self._reused += 1
            return entry.packed(reuse(x, self._reused_of(u)))

        return forward

    def wrap_block(self, block: BlockModule) -> Forward:
        """Return the stand-in for a block's forward: nothing runs in it when all is skipped."""
        original = block.module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            if all(self._row[u] is Work.SKIPPED for u in block.units):
                return _hollow(self._outlines[block], first_of(args, kwargs))
            result = original(*args, **kwargs)
            self._outlines[block] = _outline(result)
            return result

        return forward

    def _reused_of(self, u: int) -> Reused:
        return Reused(self.values[u], self.before[u], self._fix_of(u))

    def _fix_of(self, u: int) -> Fix | None:
        fix = self._fixed.get(u)
        return fix if fix is not None and fix.sources == self._made[u] else None

    def _computing(self, u: int, entry: UnitModule, result: Any) -> Any:
        output = entry.unpacked(result)
        self._computed += 1
        self._shapes[u] = output.shape
        if entry.tap is None:
            self._store(u, output)
        return result

    def _store(self, u: int, value: Tensor) -> None:
        if u in self._forecast:
            self.before[u] = self.values[u]
        self.values[u] = value
        self._made[u] = (self._step, self._made[u][0])

    def keep(self, u: int) -> Callable[[Any, Any, Tensor], None]:
        """Return the hook on the tap of residual unit u that keeps its update as it is made."""

        def hook(_module: Any, _inputs: Any, update: Tensor) -> None:
            self._store(u, update)

        return hook


def _outline(result: Any) -> Any:
    """Return the shape of a tensor, or a list of outlines."""
    if isinstance(result, tuple):
        return [_outline(part) for part in result]
    return result.shape


def _hollow(outline: Any, like: Tensor) -> Any:
    """Return tensors of these shapes that hold nothing and take no memory."""
    if isinstance(outline, list):
        return tuple(_hollow(part, like) for part in outline)
    return like.new_zeros(()).expand(outline)


@contextmanager
def cached(
    units: UNetUnits, schedule: Schedule, correction: Correction | None = None
) -> Iterator[CacheRun]:
    """Let the UNet follow `schedule` inside this context; restores it whatever happens.

    Raises what `cache_run` raises. An all-compute schedule gives bit for bit what the bare UNet
    gives.
    """
    with installed(units, cache_run(units, schedule, correction)) as run:
        yield run


def cache_run(
    units: UNetUnits, schedule: Schedule, correction: Correction | None = None
) -> CacheRun:
    """Return an empty cache for one generation.

    Raises InvalidSchedule when the table is for another UNet, CalibrationError when the correction
    is for another table.
    """
    if schedule.units != len(units.graph):
        raise InvalidSchedule(
            f"the schedule has {schedule.units} units, this UNet has {len(units.graph)}"
        )
    if correction is None:
        return CacheRun(schedule, units)
    plan = prepared(correction, schedule, units)
    return CacheRun(schedule, units, plan.fixes, plan.forecast)


@contextmanager
def installed(units: UNetUnits, run: CacheRun) -> Iterator[CacheRun]:
    """Let the UNet use the cache `run` inside this context; restores it whatever happens.

    Runs may take turns, each going on from what it last computed, but not nest.
    """
    with ExitStack() as stack:
        for u, entry in enumerate(units.modules):
            stack.enter_context(replaced_forward(entry.module, run.wrap(u, entry)))
            if entry.tap is not None:
                stack.callback(entry.tap.register_forward_hook(run.keep(u)).remove)
        for block in units.blocks:
            stack.enter_context(replaced_forward(block.module, run.wrap_block(block)))
        yield run
