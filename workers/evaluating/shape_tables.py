"""Rows of a comparison on random weights, and the tables made of them."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING, Any

from workers.evaluating.aiming import predicted_speed_up
from workers.evaluating.shape_runs import INTERVAL, PLANNED_SPEED_UP
from workers.evaluating.tables import grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.evaluating.shape_runs import Contest, Entrant, Run


@dataclass(frozen=True, slots=True)
class Speed:
    """One method in one case: medians over rounds.

    `speed_up` is over diffusers' uncached loop, `ideal` what unit costs promise over an uncached
    run, `of_ideal` the speed-up over the uncached run of the same loop ÷ `ideal`. Ratios are of
    runs of the same round. `replayed_steps`, `peak_bytes`, `reserved_bytes`: None where unknown.
    """

    shape: str
    size: int
    steps: int
    batch: int
    method: str
    rounds: int
    ms: float
    speed_up: float
    compute_fraction: float
    ideal: float
    of_ideal: float
    replayed_steps: int | None
    peak_bytes: int | None
    reserved_bytes: int | None

    @property
    def step_ms(self) -> float:
        """Milliseconds a step, on average over a run."""
        return self.ms / self.steps

    @property
    def denoise_s(self) -> float:
        """Seconds of the denoising of a batch."""
        return self.ms / 1e3

    @property
    def images_per_s(self) -> float:
        """Pictures a second, batch after batch, denoising only."""
        return 1e3 * self.batch / self.ms

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        derived = ("step_ms", "denoise_s", "images_per_s")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def speeds(contest: Contest) -> list[Speed]:
    """Sum up a case after its rounds so far."""
    columns = list(zip(*contest.rounds, strict=True))
    firsts: dict[str, Sequence[Run]] = {}
    found = []
    for entrant, runs in zip(contest.entrants, columns, strict=True):
        own = firsts.setdefault(entrant.method.group, runs)
        found.append(_speed(contest, entrant, runs, columns[0], own))
    return found


def _speed(
    contest: Contest, entrant: Entrant, runs: Sequence[Run], base: Sequence[Run], own: Sequence[Run]
) -> Speed:
    case, schedule, last = contest.case, entrant.schedule, runs[-1]
    ideal = predicted_speed_up(schedule, contest.costs)
    return Speed(
        shape=case.shape,
        size=contest.frame.width,
        steps=case.steps,
        batch=case.batch,
        method=entrant.method.name,
        rounds=len(runs),
        ms=median(run.ms for run in runs),
        speed_up=_times_as_fast(base, runs),
        compute_fraction=contest.costs.compute_fraction(schedule.steps, schedule.unit_runs),
        ideal=ideal,
        of_ideal=_times_as_fast(own, runs) / ideal,
        replayed_steps=last.replayed,
        peak_bytes=last.memory.peak_bytes,
        reserved_bytes=last.memory.reserved_bytes,
    )


def _times_as_fast(slow: Sequence[Run], quick: Sequence[Run]) -> float:
    return median(a.ms / b.ms for a, b in zip(slow, quick, strict=True))


COLUMNS: tuple[tuple[str, Callable[[Speed], str]], ...] = (
    ("method", lambda s: s.method),
    ("rounds", lambda s: str(s.rounds)),
    ("ms a step", lambda s: f"{s.step_ms:.2f}"),
    ("denoise s", lambda s: f"{s.denoise_s:.3f}"),
    ("img/s", lambda s: f"{s.images_per_s:.3g}"),
    ("speed-up", lambda s: f"{s.speed_up:.2f}×"),
    ("computed", lambda s: f"{s.compute_fraction:.2f}"),
    ("ideal", lambda s: f"{s.ideal:.2f}×"),
    ("of ideal", lambda s: f"{s.of_ideal:.2f}"),
    ("replayed", lambda s: "–" if s.replayed_steps is None else f"{s.replayed_steps}/{s.steps}"),
    ("peak GB", lambda s: "–" if s.peak_bytes is None else f"{s.peak_bytes / 1e9:.2f}"),
)
NOTES = (
    "The weights are random: times are those of any weights, pictures mean nothing, and no quality "
    "was measured.",
    "denoise: median time of a run, from the call of the loop to the end of its last step, on an "
    "idle device; all methods in turn in every round. ms a step: that time ÷ steps.",
    "speed-up: over diffusers' own uncached loop, median of the ratios within a round.",
    "computed, ideal: share of unit time spent, and speed-up over an uncached run, by unit costs "
    "measured on this device without replays. of ideal: speed-up over the uncached run of the same "
    "loop ÷ ideal.",
    f"computing what DeepCache N = {INTERVAL} does: the same units at the same steps.",
    f"expected {PLANNED_SPEED_UP:g}× as fast: without a calibration there is no plan book, so a "
    "rule stands in for it: every unit at some steps, spread evenly, residual units reused at the "
    "others, as many steps as bring the speed-up by unit costs closest.",
    "replayed: steps recorded once and replayed (–: this device or version replays none).",
    "peak: weights and what a run allocated beside; what replayed steps need was allocated when "
    "they were recorded and is part of reserved_bytes in the CSV and JSON files.",
)


def markdown(made: dict[str, Any], rows: Sequence[Speed], notes: Sequence[str]) -> str:
    """Return a page: on what, a table for each case, notes."""
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    parts = ["# UNets of random weights", f"{made['device']}, {made['dtype']}; {versions}."]
    for title, members in groupby(rows, key=_title):
        cells = [[text(row) for _, text in COLUMNS] for row in members]
        parts += [f"## {title}", grid([heading for heading, _ in COLUMNS], cells)]
    parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _title(row: Speed) -> str:
    return f"{row.shape}, {row.size}×{row.size}, {row.steps} steps, batch {row.batch}"


def comma_separated(rows: Sequence[Speed]) -> str:
    """Return all rows with all figures."""
    page, plain = io.StringIO(), [row.to_dict() for row in rows]
    writer = csv.DictWriter(page, plain[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    return page.getvalue()
