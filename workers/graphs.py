"""UNet calls recorded once as CUDA graphs and replayed: the host's part of a step is paid once.

Laws of this file:
1. Between two replays nothing is remembered but in the tensors of a `Stage`, made before any
   capture. What a graph makes on the way may be overwritten by any other: all share one pool.
2. One generation at a time uses a stage, and nothing is captured during one.
3. Whatever cannot be replayed runs eagerly on the same tensors, to the same result.
4. Everything happens in inference mode: tensors made within it cannot be written outside.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from workers.halving import free_memory
from workers.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.capturing import Capturer, Replay
    from workers.moves import Move
    from workers.pins import Inputs
    from workers.units import UNetUnits

    Key = tuple[Hashable, Move]

log = logging.getLogger(__name__)
MOST_GRAPHS = 192
MOST_STAGES = 8
MOST_WANTED = 2 * MOST_GRAPHS
# Of the device's memory, what captures leave free for everything else.
LEAST_ROOM = 0.1


class Graphs:
    """All graphs of a worker, and when one may stand in for a UNet call.

    The first generation of a shape leaves a stage behind. From then on generations of that shape
    replay what was captured, and what was not is captured by `capture`, the most wanted first. Of
    graphs and stages those used last are kept. A failure to capture drops all and ends capturing.
    Without a `capturer` everything is eager.

    What the UNet computes is its weights' values and nothing else as long as their addresses stay;
    call `clear` after changing it in other ways, such as the scale of an adapter.
    """

    def __init__(
        self,
        capturer: Capturer | None = None,
        most_graphs: int = MOST_GRAPHS,
        most_stages: int = MOST_STAGES,
    ) -> None:
        self._capturer = capturer
        self._most_graphs, self._most_stages = most_graphs, most_stages
        self._stages: OrderedDict[Hashable, Stage] = OrderedDict()
        self._replays: OrderedDict[Key, Replay] = OrderedDict()
        self._wanted: Counter[Key] = Counter()
        self._weights: Hashable = None
        self._busy = False
        self._is_full = False
        self.replays = 0

    @property
    def count(self) -> int:
        """The number of graphs."""
        return len(self._replays)

    @property
    def are_on(self) -> bool:
        """Whether anything may ever be captured."""
        return self._capturer is not None

    @property
    def bytes(self) -> int:
        """The memory of all stages; what graphs need for themselves lies in their pool."""
        return sum(stage.bytes for stage in self._stages.values())

    @property
    def wanted(self) -> int:
        """How many different UNet calls were made for want of a graph."""
        return len(self._wanted)

    def clear(self) -> None:
        """Drop everything; the next generations begin anew."""
        self._stages.clear()
        self._replays.clear()
        self._wanted.clear()
        self._is_full = False

    def give_way(self) -> bool:
        """Make room for what needs memory more, for good; return whether there was any to make."""
        if not self._stages:
            return False
        self.end("memory is short")
        return True

    def end(self, why: str) -> None:
        """Drop everything for good, and log why: from now on all is eager."""
        log.warning("no CUDA graphs from now on: %s", why)
        self.clear()
        self._capturer = None

    @contextmanager
    def generation(
        self, unet: Any, units: UNetUnits, run: CacheRun, inputs: Inputs
    ) -> Iterator[Callable[[Inputs], Tensor]]:
        """Yield what predicts the noise of one generation, `inputs` being the first it is given.

        Inside it `run` is installed. A generation begun during another one, or outside inference
        mode, runs eagerly on tensors of its own.
        """
        if self._capturer is None or self._busy or not torch.is_inference_mode_enabled():
            yield lambda given: given.given_to(unet)
            return
        self._busy = True
        try:
            self._forget_other_weights(unet)
            played = _Played(self, unet, run, inputs.outline, self._staged(inputs.outline, run))
            yield played
            if played.stage is None:
                self._build(inputs.outline, lambda: Stage.after(unet, units, inputs, run))
        finally:
            self._busy = False

    def _forget_other_weights(self, unet: Any) -> None:
        weights = tuple(tensor.data_ptr() for tensor in unet.parameters())
        if weights != self._weights:
            self.clear()
        self._weights = weights

    def _staged(self, outline: Hashable, run: CacheRun) -> Stage | None:
        stage = self._stages.get(outline)
        if stage is not None:
            self._stages.move_to_end(outline)
            run.pin(stage.pins)
        return stage

    def _build(self, outline: Hashable, build: Callable[[], Stage]) -> None:
        if not self._has_room():
            return
        stage = self._attempt(build)
        if stage is not None:
            self._stages[outline] = stage
            while len(self._stages) > self._most_stages:
                self._drop(next(iter(self._stages)))

    def _drop(self, outline: Hashable) -> None:
        del self._stages[outline]
        kept = ((key, replay) for key, replay in self._replays.items() if key[0] != outline)
        self._replays = OrderedDict(kept)

    def found(self, key: Key) -> Replay | None:
        """Return the graph that does this, None where it is wanted."""
        replay = self._replays.get(key)
        if replay is not None:
            self._replays.move_to_end(key)
            self.replays += 1
        elif not self._is_full and (key in self._wanted or len(self._wanted) < MOST_WANTED):
            self._wanted[key] += 1
        return replay

    def capture(self, most: int = MOST_GRAPHS, least: int = 1) -> None:
        """Capture what is wanted most, `most` calls at most, each wanted at least `least` times.

        Does nothing during a generation. Once memory is short nothing more is wanted.
        """
        for key, times in () if self._busy else self._wanted.most_common(most):
            if times >= least and self._has_room():
                self._capture(key)

    def record(self, moves: Iterable[Move], is_over: Callable[[], bool]) -> None:
        """Capture moves in all shapes that have a stage, the most frequent first, until `is_over`.

        Never more graphs than are kept.
        """
        wanted = [move for move, _ in Counter(moves).most_common()]
        for key in [(outline, move) for move in wanted for outline in self._stages]:
            if self._busy or is_over() or self.count >= self._most_graphs:
                return
            if key not in self._replays and self._has_room():
                self._capture(key)

    @torch.inference_mode()
    def _capture(self, key: Key) -> None:
        outline, move = key
        stage, capturer = self._stages.get(outline), self._capturer
        self._wanted.pop(key, None)
        if stage is None or capturer is None:
            return
        replay = self._attempt(lambda: capturer.capture(stage.work(move)))
        if replay is not None:
            self._replays[key] = replay
            while len(self._replays) > self._most_graphs:
                self._replays.popitem(last=False)

    def _has_room(self) -> bool:
        if self._capturer is None or self._is_full:
            return False
        self._is_full = self._capturer.room() < LEAST_ROOM
        if self._is_full:
            log.info("memory is short: %d CUDA graphs are kept, no more are made", self.count)
            self._wanted.clear()
        return not self._is_full

    def _attempt(self, action: Callable[[], Any]) -> Any:
        """Return what an action gives, None when it fails: then there are no graphs any more."""
        try:
            return action()
        except Exception as error:  # whatever it is, pictures can still be made
            log.warning("no CUDA graphs from now on: %s", error, exc_info=True)
        # Only here is the error gone, and with it the frames that hold memory.
        self.clear()
        self._capturer = None
        free_memory()
        return None


@dataclass(frozen=True, slots=True)
class _Played:
    """Predicts noise on a stage, or eagerly where there is none yet."""

    graphs: Graphs
    unet: Any
    run: CacheRun
    outline: Hashable
    stage: Stage | None

    def __call__(self, inputs: Inputs) -> Tensor:
        replay = self.graphs.found((self.outline, self.run.move))
        if replay is None or self.stage is None:
            # A reused output is the pin itself, which the next steps overwrite.
            return inputs.given_to(self.unet).clone()
        self.stage.fill(inputs, self.run.applied)
        replay()
        self.run.replayed()
        return self.stage.output.clone()
