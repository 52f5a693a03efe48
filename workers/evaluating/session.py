"""An evaluation of one model: the pictures, the reference, and one comparison after another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from schedules.rules import all_compute
from workers.calibration_settings import REFERENCE
from workers.costing import denoise_costs
from workers.evaluating.comparison import ROUNDS, compare, run
from workers.evaluating.errors import EvaluationError
from workers.evaluating.lineup import Lineup
from workers.evaluating.methods import Method, Subject
from workers.evaluating.scores import Space, Standard
from workers.evaluating.tables import row_of
from workers.frechet import frechet_distance
from workers.quality import PerceptualDistance
from workers.sampler import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from schedules.book import Plan, PlanBook
    from schedules.cost import StageCosts
    from workers.correction import Correction
    from workers.evaluating.comparison import Comparison, Outcome
    from workers.evaluating.lineup import LineupSettings
    from workers.evaluating.methods import Enable
    from workers.evaluating.tables import Row
    from workers.pipeline import Model
    from workers.sampler import Prompt

    Progress = Callable[[str, int, int], None]
    Pixels = NDArray[np.uint8]

COST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What is drawn: `requests`, which no calibration has seen, in one size and guidance scale."""

    width: int
    height: int
    guidance_scale: float
    requests: tuple[Prompt, ...]

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
            lineup.own(p.rule, "searched", p.schedule, self.corrections.get(p.correction or ""))
            for p in plans
            if p.counts.hit_ratio > 0
        ]

    def followed(self, frame: Frame, plan: Plan) -> Frame:
        """Return a frame that follows a plan of the book."""
        correction = self.corrections.get(plan.correction or "")
        return replace(frame, schedule=plan.schedule, correction=correction)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What came of one solver and step count: a row and pictures for each method, and notes."""

    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...]

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

    `data` are real pictures, of the same size. Raises EvaluationError for a single request.
    """

    def __init__(
        self, model: Model, setting: Setting, progress: Progress, data: Pixels | None = None
    ) -> None:
        if len(setting.requests) < 2:
            raise EvaluationError("an evaluation needs at least two pictures")
        self.model, self.setting, self._progress = model, setting, progress
        frame = setting.frame(model, *REFERENCE)
        self.subjects = [Subject.of(model, prompt, frame) for prompt in setting.requests]
        self.costs = self._measured_costs(frame)
        uncached = Method("reference", "uncached", frame)
        (made,) = run(model, [uncached], self.subjects, self._under("reference"))
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

    def evaluated(
        self,
        solver: str,
        steps: int,
        settings: LineupSettings,
        shelf: Shelf | None = None,
        rounds: int = ROUNDS,
    ) -> Evaluated:
        """Compare all methods at one solver and step count."""
        progress = self._under(f"{solver} {steps}")
        frame = self.setting.frame(self.model, solver, steps)
        lineup = Lineup(self.model, frame, self.costs, settings, progress)
        ours = None if shelf is None else shelf.methods(lineup, solver, steps)
        found = compare(self.model, lineup.methods(ours), self.subjects, progress, rounds)
        shown = tuple(found.shown())
        return Evaluated(self._rows(found, shown), shown, found.notes)

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
