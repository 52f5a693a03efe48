"""An evaluation of one model: the pictures, the reference, and one comparison after another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from schedules.rules import all_compute
from workers.calibration_parts import keep_nothing
from workers.calibration_settings import REFERENCE
from workers.costing import denoise_costs
from workers.evaluating.comparison import (
    ROUNDS,
    UNCACHED,
    Comparison,
    fewer_steps,
    run,
    usable,
)
from workers.evaluating.errors import EvaluationError
from workers.evaluating.lineup import PAPER, PLAIN, TWO_TAPS, Lineup
from workers.evaluating.methods import Method, Subject
from workers.evaluating.parts import LinedUp, lined_up
from workers.evaluating.scores import Space, Standard
from workers.evaluating.scouting import Scout
from workers.evaluating.tables import row_of
from workers.frechet import frechet_distance
from workers.quality import PerceptualDistance
from workers.sampler import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from schedules.book import Plan, PlanBook
    from schedules.cost import StageCosts
    from workers.calibration_parts import Keep
    from workers.correction import Correction
    from workers.evaluating.comparison import Outcome
    from workers.evaluating.lineup import LineupSettings
    from workers.evaluating.methods import Enable
    from workers.evaluating.tables import Row
    from workers.pipeline import Model
    from workers.sampler import Prompt

    Progress = Callable[[str, int, int], None]
    Pixels = NDArray[np.uint8]

COST_SECONDS = 5.0
SHOWN_PROMPTS = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """What is drawn: `requests`, which no calibration has seen, in one size and guidance scale.

    Methods are timed on the first `timed` of them, None: on all.
    """

    width: int
    height: int
    guidance_scale: float
    requests: tuple[Prompt, ...]
    timed: int | None = None

    def frame(self, model: Model, solver: str, steps: int) -> Frame:
        """Return the frame of an uncached run."""
        table = all_compute(steps, model.units.graph)
        return Frame(self.width, self.height, self.guidance_scale, solver, table)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A plan book, whose plans are compared instead of schedules searched anew."""

    book: PlanBook
    corrections: Mapping[str, Correction] = field(default_factory=dict)

    def methods(self, lineup: Lineup, solver: str, steps: int) -> list[Method]:
        """Return the book's cached plans of a solver and step count."""
        plans = [p for p in self.book.plans if (p.solver, p.steps) == (solver, steps)]
        return [
            lineup.own(
                p.rule,
                PLAIN if p.correction is None else TWO_TAPS,
                p.schedule,
                self.corrections.get(p.correction or ""),
            )
            for p in plans
            if p.counts.hit_ratio > 0
        ]

    def followed(self, frame: Frame, plan: Plan) -> Frame:
        """Return a frame that follows a plan of the book."""
        correction = self.corrections.get(plan.correction or "")
        return replace(frame, schedule=plan.schedule, correction=correction)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What came of one solver and step count: a row and some pictures for each method, and notes.

    `seconds` are the longest that making a schedule or correction of each kind took.
    """

    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]

    @property
    def title(self) -> str:
        """The solver and the number of steps."""
        frame = self.outcomes[0].method.frame
        return f"{frame.solver}, {frame.schedule.steps} steps"

    def pictures(self, without: Enable) -> list[tuple[str, Pixels]]:
        """Return the pictures by method, all but one peer's."""
        shown = (one for one in self.outcomes if one.method.enable is not without)
        return [(one.method.name, one.pictures) for one in shown]


class Session:
    """One model and the pictures of one setting; makes those of the reference run at once.

    `data` are real pictures, of the same size. What `keep` has is not made again. Raises
    EvaluationError for a single request.
    """

    def __init__(
        self,
        model: Model,
        setting: Setting,
        progress: Progress,
        data: Pixels | None = None,
        keep: Keep = keep_nothing,
    ) -> None:
        if len(setting.requests) < 2:
            raise EvaluationError("an evaluation needs at least two pictures")
        self.model, self.setting, self.keep = model, setting, keep
        self._progress = progress
        frame = setting.frame(model, *REFERENCE)
        self.subjects = [Subject.of(model, prompt, frame) for prompt in setting.requests]
        self.costs = self._measured_costs(frame)
        uncached = Method("reference", "uncached", frame)
        told = self._under("reference")
        (made,) = run(model, [uncached], self.subjects, told, keep, "reference", timed=0)
        self.distance = PerceptualDistance(model.device)
        basis = made.pictures if data is None else data
        self.space = Space(basis, len(self.subjects) // 2, self.distance)
        self.reference = Standard(made.pictures, self.space, self.distance)
        self._data = None if data is None else self.space.of(data)

    @torch.inference_mode()
    def _measured_costs(self, frame: Frame) -> StageCosts:
        first = self.subjects[0]
        return denoise_costs(self.model, first.conditioning, first.noise, frame, COST_SECONDS)

    def _under(self, title: str) -> Progress:
        return lambda stage, done, total: self._progress(f"{title}: {stage}", done, total)

    def ran(self, methods: Sequence[Method], told: Progress, of: str) -> tuple[Outcome, ...]:
        """Return what came of every method; `of` is what its pictures are called where kept."""
        given = self.subjects, told, self.keep, of, self.setting.timed
        return run(self.model, methods, *given)

    def evaluated(
        self,
        solver: str,
        steps: int,
        settings: LineupSettings,
        shelf: Shelf | None = None,
        rounds: int = ROUNDS,
        on_picture: Callable[[int], None] = lambda _done: None,
    ) -> Evaluated:
        """Compare all methods at one solver and step count."""
        title = f"{solver} {steps}"
        frame = self.setting.frame(self.model, solver, steps)
        lineup = Lineup(self.model, frame, self.costs, settings, self._under(title), self.keep)
        lined = self.keep(lined_up(frame), lambda: self._lined_up(lineup, frame, shelf, rounds))

        def tell(stage: str, done: int, total: int) -> None:
            self._progress(f"{title}: {stage}", done, total)
            on_picture(done)

        of = f"pictures-{solver}-{steps}"
        outcomes = self.ran(lined.methods, tell, of)
        found = Comparison(outcomes, lined.notes)
        shown = tuple(found.shown())
        first = tuple(replace(o, pictures=o.pictures[:SHOWN_PROMPTS].copy()) for o in shown)
        return Evaluated(self._rows(found, shown), first, found.notes, lined.seconds)

    def _lined_up(self, lineup: Lineup, frame: Frame, shelf: Shelf | None, rounds: int) -> LinedUp:
        """Find out who can take part, how fast, and how many uncached steps are as quick."""
        able, notes = usable(self.model, lineup.known(), self.subjects[0])
        uncached = able[0]
        told = self._under(f"{frame.solver} {frame.schedule.steps}")
        scout = Scout(self.model, uncached, self.subjects, rounds, told)
        cached = [method for method in able if method.group != UNCACHED]
        fast = [(method.group, scout.speed_up(method)) for method in cached]
        ours = None if shelf is None else shelf.methods(lineup, frame.solver, frame.schedule.steps)
        others = (speed_up for group, speed_up in fast if group != PAPER)
        aimed = lineup.aimed(others, scout.speed_up, ours)
        counts = scout.counts([*cached, *aimed])
        fewer = [fewer_steps(self.model, uncached, count) for count in counts]
        return LinedUp((*able, *aimed, *fewer), notes, lineup.seconds)

    def _rows(self, found: Comparison, shown: Iterable[Outcome]) -> tuple[Row, ...]:
        uncached = Standard(found.uncached.pictures, self.space, self.distance)
        return tuple(self._row(found, outcome, uncached) for outcome in shown)

    def _row(self, found: Comparison, outcome: Outcome, uncached: Standard) -> Row:
        pictures = outcome.pictures
        scores = uncached.scores(pictures), self.reference.scores(pictures)
        return row_of(found, outcome, *scores, self._to_data(pictures))

    def _to_data(self, pictures: Pixels) -> float | None:
        if self._data is None:
            return None
        return frechet_distance(self.space.of(pictures), self._data)
