"""What a plan book buys for every time, beside uncached runs of fewer steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from schedules.cost import CostModel
from workers import calibration_parts as parts
from workers.calibration_settings import REFERENCE
from workers.evaluating import verdicts as judgements
from workers.evaluating.comparison import FEWER, TIE
from workers.evaluating.methods import Method
from workers.evaluating.tables import grid
from workers.evaluating.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schedules.book import Plan
    from workers.evaluating.comparison import Outcome
    from workers.evaluating.scores import Scores
    from workers.evaluating.session import Session, Shelf

    Progress = Callable[[str, int, int], None]

POINTS = 10
CLEAR_DB, CLEAR_RATIO = 2.0, 0.8
# What means over pictures differ by when it is the same plan in another order of sums.
SAME_DB, SAME_RATIO = 0.01, 1.001
PLANS = "plan book"
NOTES = (
    "plan: the one that the book ranks highest of those that took no longer; fewer steps: the "
    "longest uncached dpmpp_2m run that took no longer (±1 %).",
    "PSNR and perceptual distance to the uncached dpmpp_2m run of 50 steps.",
)


@dataclass(frozen=True, slots=True)
class Reached:
    """A run, the median milliseconds of its denoising loop, and how close it came."""

    name: str
    ms: float
    scores: Scores


@dataclass(frozen=True, slots=True)
class Point:
    """Within a time: the plan the book ranks highest, and the longest uncached run, if any."""

    ms: float
    plan: Reached
    fewer: Reached | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def points(session: Session, shelf: Shelf, most_steps: int, progress: Progress) -> list[Point]:
    """Compare plans with fewer steps at evenly spaced measured times.

    From the fastest plan to the uncached run of `most_steps` steps of the reference's solver;
    closeness is to the reference run.
    """
    part = parts.plans("frontier", session.model.units.graph)
    plans = session.keep(part, lambda: tuple(_plans(session, shelf, most_steps)))
    methods = [_planned(session, shelf, plan) for plan in plans]
    shorter = [_uncached(session, steps) for steps in range(1, most_steps + 1)]
    both = [*methods, *shorter]
    outcomes = session.ran(both, progress, "frontier")
    found = [_reached(session, outcome) for outcome in outcomes]
    ranked = list(zip([plan.quality.value for plan in plans], found, strict=False))
    fewer = found[len(plans) :]
    times = np.linspace(min(one.ms for _, one in ranked), fewer[-1].ms, POINTS)
    return [_point(float(ms), ranked, fewer) for ms in times]


def _plans(session: Session, shelf: Shelf, most_steps: int) -> list[Plan]:
    """Return the book's frontier by the unit costs of this device, as far as it matters here."""
    costs = CostModel(((1, session.costs),))
    units = len(session.model.units.graph)
    longest = costs.total_ms(most_steps, (most_steps,) * units)
    best = shelf.book.frontier(costs)
    return [plan for plan in best if costs.total_ms(plan.steps, plan.unit_runs) <= longest]


def _planned(session: Session, shelf: Shelf, plan: Plan) -> Method:
    frame = session.setting.frame(session.model, plan.solver, plan.steps)
    return Method(plan.name, PLANS, shelf.followed(frame, plan))


def _uncached(session: Session, steps: int) -> Method:
    solver, _ = REFERENCE
    frame = session.setting.frame(session.model, solver, steps)
    return Method(f"{steps} steps", FEWER, frame)


def _reached(session: Session, outcome: Outcome) -> Reached:
    scores = session.reference.scores(outcome.pictures)
    return Reached(outcome.method.name, median(outcome.ms), scores)


def _point(ms: float, ranked: Sequence[tuple[float, Reached]], fewer: Sequence[Reached]) -> Point:
    within = [(quality, one) for quality, one in ranked if one.ms <= ms * TIE]
    _, plan = max(within, key=lambda pair: pair[0])
    longest = next((one for one in reversed(fewer) if one.ms <= ms * TIE), None)
    return Point(ms, plan, longest)


def verdicts(found: Sequence[Point]) -> list[Verdict]:
    """Judge the plan book beside fewer steps: at no time worse, at half of them clearly better."""
    beside = [(p.plan.scores, p.fewer.scores) for p in found if p.fewer is not None]
    alone = len(found) - len(beside)
    leads_db = [plan.psnr_db - fewer.psnr_db for plan, fewer in beside]
    # Of two identical pictures neither is nearer.
    ratios = [plan.distance / fewer.distance if fewer.distance else 1.0 for plan, fewer in beside]
    clear_db = alone + sum(lead_db >= CLEAR_DB for lead_db in leads_db)
    clear = alone + sum(ratio <= CLEAR_RATIO for ratio in ratios)
    return [
        _judged("PSNR", f"{CLEAR_DB:g} dB", min(leads_db, default=0.0) >= -SAME_DB, clear_db, found,
                {"least_lead_db": min(leads_db, default=0.0)}),
        _judged("perceptual distance", f"{1 - CLEAR_RATIO:.0%}",
                max(ratios, default=1.0) <= SAME_RATIO, clear, found,
                {"largest_ratio": max(ratios, default=1.0)}),
    ]  # fmt: skip


def _judged(
    measure: str,
    margin: str,
    holds: bool,
    clear: int,
    found: Sequence[Point],
    figures: dict[str, float],
) -> Verdict:
    asked = f"never below fewer steps in {measure}, and ≥ {margin} above at half of the times"
    ((name, figure),) = figures.items()
    told = f"{name.replace('_', ' ')} {figure:.2f}, clearly above at {clear} of {len(found)}"
    kept = holds and 2 * clear >= len(found)
    return Verdict("plan book", asked, told, kept, {**figures, "clear": clear})


def markdown(title: str, found: Sequence[Point], notes: Sequence[str]) -> str:
    """Return a page with one line a time, and whether the bars are kept."""
    headings = ("ms", "plan", "PSNR", "distance", "fewer steps", "PSNR", "distance")
    lines = [[f"{p.ms:.1f}", *_cells(p.plan), *_cells(p.fewer)] for p in found]
    listed = "\n".join(f"- {note}" for note in notes)
    judged = judgements.markdown(verdicts(found))
    return f"# {title}\n\n{grid(headings, lines)}\n\n{judged}\n\n{listed}\n"


def _cells(one: Reached | None) -> list[str]:
    if one is None:
        return ["–"] * 3
    return [one.name, f"{one.scores.psnr_db:.1f}", f"{one.scores.distance:.4f}"]
