"""Methods in turn on one UNet of random weights: only their time means something."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from schedules.rules import all_compute, deepcache, spread
from schedules.schedule import Schedule
from workers.costing import denoise_costs
from workers.evaluating.aiming import predicted_speed_up
from workers.evaluating.comparison import usable
from workers.evaluating.methods import Method, Subject, take
from workers.evaluating.peers import PEERS, plain
from workers.evaluating.replaying import Replays
from workers.evaluating.timing import Memory, MemoryWatch
from workers.sampler import Frame, Prompt, initial_latents
from workers.shapes import random_conditioning, random_model

if TYPE_CHECKING:
    from schedules.cost import StageCosts
    from schedules.units import UnitGraph
    from workers.evaluating.methods import Enable, Take
    from workers.evaluating.shape_cases import Case
    from workers.pipeline import Model

DIFFUSERS, HERE = "diffusers", "here"
INTERVAL = 3
PLANNED_SPEED_UP = 1.8
GUIDANCE, SOLVER = 7.5, "dpmpp_2m"
WARM_STEPS = 6
COST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Entrant:
    """A method whose group is the loop it runs in, and the schedule that says what it computes."""

    method: Method
    schedule: Schedule

    def shortened(self, steps: int) -> Method:
        """Return the method's first steps: the same kinds of step, sooner done."""
        schedule = self.method.frame.schedule
        frame = replace(self.method.frame, schedule=Schedule(schedule.computes[:steps]))
        return replace(self.method, frame=frame)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its time, its memory, and how many steps were replayed, None where none can be."""

    ms: float
    memory: Memory
    replayed: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Outfit:
    """A model of random weights with what its steps are recorded in, and costs by batch size."""

    model: Model
    replays: Replays
    costs: dict[int, StageCosts] = field(default_factory=dict)

    @property
    def weights_bytes(self) -> int:
        """The memory of the UNet's weights."""
        return sum(weights.nbytes for weights in self.model.pipe.unet.parameters())

    @classmethod
    def of(cls, shape: str, *, replay: bool = True) -> Outfit:
        """Return one of that shape, in bfloat16 on a GPU; raises ModelError for an unknown one."""
        dtype = torch.bfloat16 if torch.cuda.is_available() else None
        model = random_model(shape, dtype)
        return cls(model, Replays(model.device, wanted=replay))

    def taken(self, method: Method, subject: Subject) -> Take:
        """Return one whole run of a method."""
        return take(self.model, method, subject, whole=True, sampler=self.replays.sampler)

    def ran(self, method: Method, subject: Subject) -> Run:
        """Return the figures of one whole run of a method."""
        before, watch = self.replays.count, MemoryWatch(self.model.device, self.weights_bytes)
        ms = self.taken(method, subject).ms
        return Run(ms, watch.seen(), None if before is None else (self.replays.count or 0) - before)


class Contest:
    """One case: who takes part, and the rounds run so far.

    Warmed up, `notes` say which peers do not run on this shape; they take no part from then on.
    """

    def __init__(self, outfit: Outfit, case: Case) -> None:
        self.case, self._outfit = case, outfit
        model, size = outfit.model, outfit.model.native_size
        uncached = all_compute(case.steps, model.units.graph)
        self.frame = Frame(size, size, GUIDANCE, SOLVER, uncached)
        self.subject = subject_of(model, self.frame, case.batch)
        self.costs = self._costs()
        self.entrants = entrants(self.frame, model.units.graph, self.costs)
        self.notes: tuple[str, ...] = ()
        self.rounds: list[tuple[Run, ...]] = []

    @torch.inference_mode()
    def _costs(self) -> StageCosts:
        known, batch = self._outfit.costs, self.case.batch
        if batch not in known:
            model, subject = self._outfit.model, self.subject
            short = Entrant(Method("", HERE, self.frame), self.frame.schedule)
            take(model, short.shortened(WARM_STEPS), subject)
            given = subject.conditioning, subject.noise, self.frame
            known[batch] = denoise_costs(model, *given, COST_SECONDS)
        return known[batch]

    def warm_up(self) -> None:
        """Run the first steps of all; what is recorded comes first, as it moves memory about."""
        outfit, short = self._outfit, [one.shortened(WARM_STEPS) for one in self.entrants]
        ours = [method for method in short if method.enable is None]
        # A step is recorded when a run before it has left its tensors behind.
        for method in ours if outfit.replays.count is None else (*ours, *ours):
            outfit.taken(method, self.subject)
        outfit.replays.record()
        peers = [method for method in short if method.enable is not None]
        able, self.notes = usable(outfit.model, peers, self.subject)
        names = {method.name for method in (*able, *ours)}
        self.entrants = [one for one in self.entrants if one.method.name in names]

    @property
    def expected_s(self) -> float:
        """How long a round takes by unit costs."""
        runs = ((one.schedule.steps, one.schedule.unit_runs) for one in self.entrants)
        return sum(self.costs.denoise_ms(*run) for run in runs) / 1e3

    def run_round(self) -> None:
        """Let every method run once."""
        runs = (self._outfit.ran(one.method, self.subject) for one in self.entrants)
        self.rounds.append(tuple(runs))


@torch.inference_mode()
def subject_of(model: Model, frame: Frame, batch: int) -> Subject:
    """Return pictures of nothing, each from noise of its own."""
    prompts = [Prompt("", None, seed) for seed in range(batch)]
    noise = initial_latents(model, prompts, frame)
    return Subject(prompts[0], random_conditioning(model, batch), noise)


def entrants(frame: Frame, graph: UnitGraph, costs: StageCosts) -> list[Entrant]:
    """Return who takes part: diffusers' loop uncached and with DeepCache, and schedules here.

    The first of each loop is its uncached run.
    """
    steps = frame.schedule.steps
    rarely, planned = deepcache(steps, graph, INTERVAL), plan_for(steps, graph, costs)
    cached = next(one for one in PEERS if one.interval == INTERVAL)
    theirs: list[tuple[str, Enable, Schedule]] = [("diffusers, uncached", plain, frame.schedule)]
    if cached.is_installed:
        theirs.append((cached.name, cached.enable, rarely))
    ours = [
        ("here, uncached", frame.schedule),
        (f"here, computing what DeepCache N = {INTERVAL} does", rarely),
        (f"here, expected {PLANNED_SPEED_UP:g}× as fast", planned),
    ]
    return [
        *(Entrant(Method(name, DIFFUSERS, frame, way), table) for name, way, table in theirs),
        *(Entrant(Method(n, HERE, replace(frame, schedule=t)), t) for n, t in ours),
    ]


def plan_for(steps: int, graph: UnitGraph, costs: StageCosts) -> Schedule:
    """Return the schedule of whole steps spread evenly that comes nearest the planned speed-up."""
    tried = [spread(steps, graph, keys / steps) for keys in range(1, steps + 1)]
    return min(tried, key=lambda one: abs(predicted_speed_up(one, costs) - PLANNED_SPEED_UP))
