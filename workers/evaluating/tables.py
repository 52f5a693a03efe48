"""Rows of a comparison, and the tables made of them."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from workers.evaluating.comparison import Comparison, Outcome
    from workers.evaluating.scores import Scores


@dataclass(frozen=True, slots=True)
class Row:
    """One method at one solver and number of steps.

    Times are of the denoising loop of one picture: median and quartiles in milliseconds. `speed_up`
    is the median of the ratios of time on the same picture.
    `same_time` is the longest uncached run, in steps, that took no longer. `to_uncached` compares
    with the uncached run of this solver and step count, `to_reference` with the reference run;
    `to_data` is the Fréchet distance to real pictures, None without any.
    """

    solver: str
    steps: int
    method: str
    group: str
    ms: float
    lower_ms: float
    upper_ms: float
    speed_up: float
    compute_fraction: float | None
    same_time: int | None
    to_uncached: Scores
    to_reference: Scores
    to_data: float | None = None

    @property
    def pictures_per_s(self) -> float:
        """Pictures a second, one after the other, denoising only."""
        return 1e3 / self.ms

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "pictures_per_s": self.pictures_per_s}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: heading, and the text of a row's cell."""

    heading: str
    text: Callable[[Row], str]


COLUMNS = (
    Column("method", lambda row: row.method),
    Column("img/s", lambda row: f"{row.pictures_per_s:.3g}"),
    Column("ms", lambda row: f"{row.ms:.1f}"),
    Column("quartiles", lambda row: f"{row.lower_ms:.1f} – {row.upper_ms:.1f}"),
    Column("speed-up", lambda row: f"{row.speed_up:.2f}×"),
    Column("computed", lambda row: _known(row.compute_fraction, ".2f")),
    Column("steps in its time", lambda row: _known(row.same_time, "d")),
    Column("PSNR", lambda row: f"{row.to_uncached.psnr_db:.1f}"),
    Column("SSIM", lambda row: f"{row.to_uncached.ssim:.3f}"),
    Column("distance", lambda row: f"{row.to_uncached.distance:.4f}"),
    Column("Fréchet", lambda row: f"{row.to_uncached.frechet:.2f}"),
    Column("PSNR, ref", lambda row: f"{row.to_reference.psnr_db:.1f}"),
    Column("SSIM, ref", lambda row: f"{row.to_reference.ssim:.3f}"),
    Column("distance, ref", lambda row: f"{row.to_reference.distance:.4f}"),
    Column("Fréchet, ref", lambda row: f"{row.to_reference.frechet:.2f}"),
    Column("Fréchet, data", lambda row: _known(row.to_data, ".2f")),
)


def _known(value: float | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)


def row_of(
    comparison: Comparison,
    outcome: Outcome,
    to_uncached: Scores,
    to_reference: Scores,
    to_data: float | None,
) -> Row:
    """Sum up one method of a comparison."""
    method, whole = outcome.method, comparison.uncached
    as_quick = comparison.as_quick(outcome)
    lower, _, upper = quantiles(outcome.ms, n=4) if len(outcome.ms) > 1 else outcome.ms * 3
    return Row(
        solver=method.frame.solver,
        steps=whole.method.frame.schedule.steps,
        method=method.name,
        group=method.group,
        ms=median(outcome.ms),
        lower_ms=lower,
        upper_ms=upper,
        speed_up=1 / outcome.times_as_long(whole),
        compute_fraction=method.compute_fraction,
        same_time=None if as_quick is None else as_quick.method.frame.schedule.steps,
        to_uncached=to_uncached,
        to_reference=to_reference,
        to_data=to_data,
    )


def runs(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows of each solver and step count under a title, in their order."""
    by_run = groupby(rows, key=lambda row: f"{row.solver}, {row.steps} steps")
    return [(title, list(members)) for title, members in by_run]


def markdown(title: str, rows: Iterable[Row], judged: str, notes: Sequence[str]) -> str:
    """Return a page: what was `judged`, a table for each solver and step count, then the notes."""
    parts = [f"# {title}", judged]
    for heading, members in runs(rows):
        parts += [f"## {heading}", grid([c.heading for c in COLUMNS], _cells(members))]
    parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _cells(rows: Iterable[Row]) -> list[list[str]]:
    return [[column.text(row) for column in COLUMNS] for row in rows]


def grid(headings: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *(["---:"] * (len(headings) - 1))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rule, *cells))


def comma_separated(rows: Sequence[Row]) -> str:
    """Return all rows with all figures, scores in columns of their own."""
    page = io.StringIO()
    flat = [_flat(row.to_dict()) for row in rows]
    writer = csv.DictWriter(page, flat[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return page.getvalue()


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        parts = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}.{key}": part for key, part in parts} or {name: value}
    return flat
