"""What a calibration covers: size, prompts and seeds, solvers, steps, and how exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schedules.candidates import DELTAS, STEPS
from workers.errors import CalibrationError
from workers.influence import InfluenceSettings
from workers.sampler import Frame, Prompt
from workers.solvers import CALIBRATED

if TYPE_CHECKING:
    from schedules.schedule import Schedule

REFERENCE = ("dpmpp_2m", 50)
# With more steps than this all solvers are close to the reference.
LONG = 20


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """What a calibration covers. Pictures are `prompts` × seeds 0 … `seeds` − 1.

    Influence is taken over the first `influence_pictures`, quality and change profiles over the
    first `quality_pictures` (every prompt once before any repeats), and unpromising plans are
    dropped after a few. Corrections are fitted to the last
    `correction_pictures`, which are others than those judged where there are enough. Searched
    schedules have at most `most_rows` different rows.

    `rounds` is how often influence is measured again along the best plans' own runs. For
    `moves_minutes` single moves of the best plans are judged by pictures, for `train_minutes` the
    correction of each is trained on.
    """

    width: int
    height: int
    guidance_scale: float
    prompts: tuple[str, ...]
    seeds: int = 2
    steps: tuple[int, ...] = STEPS
    solvers: tuple[str, ...] = CALIBRATED
    deltas: tuple[float, ...] = DELTAS
    batches: tuple[int, ...] = (1, 2, 4, 8)
    screening_pictures: int = 8
    quality_pictures: int = 32
    influence_pictures: int = 32
    correction_pictures: int = 32
    most_rows: int | None = None
    rounds: int = 0
    moves_minutes: float = 0.0
    train_minutes: float = 0.0
    influence: InfluenceSettings = field(default_factory=InfluenceSettings)

    def __post_init__(self) -> None:
        if not self.prompts or self.seeds < 1:
            raise CalibrationError("a calibration needs at least one prompt and one seed")
        if max(self.steps, default=0) < 2 or min(self.steps) < 1:
            raise CalibrationError("a change profile needs at least 2 steps, a picture 1")

    @property
    def runs(self) -> list[tuple[str, int]]:
        """All pairs of solver and number of steps; long ones of the reference's solver only.

        A single step has nothing to reuse, and all solvers take the same.
        """
        longest = max(LONG, min(self.steps))
        return [
            (solver, steps)
            for solver in self.solvers
            for steps in self.steps
            if steps > 1
            if solver == REFERENCE[0] or steps <= longest
        ]

    @property
    def judged(self) -> int:
        """Number of pictures that quality and change profiles are taken over."""
        return min(self.quality_pictures, len(self.requests))

    @property
    def screened(self) -> int:
        """Number of pictures that unpromising plans are told by."""
        return min(self.screening_pictures, self.judged)

    def frame(self, solver: str, schedule: Schedule) -> Frame:
        """Return what pictures of this calibration share."""
        return Frame(self.width, self.height, self.guidance_scale, solver, schedule)

    def shown(self, number: int, count: int) -> list[Prompt]:
        """Return `count` pictures for the `number`-th look, others than for the one before."""
        requests = self.requests
        start = number * count % len(requests)
        return [*requests[start:], *requests[:start]][:count]

    @property
    def requests(self) -> list[Prompt]:
        """All pictures, every prompt once before any repeats."""
        return [Prompt(text, None, seed) for seed in range(self.seeds) for text in self.prompts]
