"""The evaluate commands: from options to files, with progress on the terminal."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from workers.calibrating import Bars, bars
from workers.calibration_files import FOLDER, load_corrections, provenance
from workers.evaluating.frontier import points, verdicts
from workers.evaluating.session import Session, Shelf
from workers.evaluating.speed_ups import LEAST_EFFICIENCY, speed_ups
from workers.evaluating.speed_ups import verdicts as speed_verdicts
from workers.evaluating.verdicts import WORDS, summary
from workers.evaluating.writing import (
    table_verdicts,
    write_frontier,
    write_table,
    write_verdicts,
)
from workers.main import checked_book
from workers.partial import PartialFolder
from workers.pipeline import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from workers.evaluating.options import AllOptions, FrontierOptions, Options, TableOptions
    from workers.evaluating.session import Evaluated, Setting
    from workers.evaluating.verdicts import Verdict
    from workers.pipeline import Model

    Progress = Callable[[str, int, int], None]

PARTIAL = "partial"


def run_table(options: TableOptions) -> None:
    """Write the table of every solver and step count, and say which bars are kept.

    Interrupted, the same call goes on where it was.
    """
    with _begun(options) as work:
        judged = work.table(options)
    _tell(work, judged, options.out / "table.md")


def run_frontier(options: FrontierOptions) -> None:
    """Write what a plan book buys for every time, and say which bars are kept.

    Interrupted, the same call goes on where it was.
    """
    with _begun(options, needs_book=True) as work:
        judged = work.frontier(options, options.most_steps)
    _tell(work, judged, options.out / "frontier.md")


def run_all(options: AllOptions) -> None:
    """Write table, frontier and speed-ups of one model, and which bars it keeps.

    Interrupted, the same call goes on where it was.
    """
    with _begun(options, needs_book=True) as work:
        judged = [
            *work.speed_ups(options),
            *work.frontier(options, options.most_steps),
            *work.table(options),
        ]
        page = write_verdicts(judged, work.session, options)
    _tell(work, judged, page)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """One model, its session, the plan book if there is one, and who is told how far it is."""

    model: Model
    session: Session
    shelf: Shelf | None
    told: Progress
    console: Console

    def table(self, options: TableOptions) -> list[Verdict]:
        """Write the table as far as it is after every run."""
        shelf = None if options.plans is None else self.shelf
        whole = _Whole(self.told, options.runs, len(self.session.subjects))
        found: list[Evaluated] = []
        for solver, steps in options.runs:
            evaluated = self.session.evaluated(
                solver, steps, options.lineup, shelf, options.rounds, whole.of(steps)
            )
            found.append(evaluated)
            write_table(found, self.session, options)
        return table_verdicts(found)

    def frontier(self, options: Options, most_steps: int) -> list[Verdict]:
        """Write what the plan book buys."""
        assert self.shelf is not None  # noqa: S101 - the caller's choice
        found = points(self.session, self.shelf, most_steps, self.told)
        write_frontier(found, self.session, options)
        return verdicts(found)

    def speed_ups(self, options: AllOptions) -> list[Verdict]:
        """Measure how much of the ideal speed-up is reached, and what corrections cost."""
        size = self.session.setting.width
        found = speed_ups(self.model, size, options.most_steps, progress=self.told)
        return speed_verdicts(self.model.name, found, LEAST_EFFICIENCY)


class _Whole:
    """How much of a table is done, in steps of pictures, so that one bar tells the time left."""

    def __init__(self, told: Progress, runs: Sequence[tuple[str, int]], pictures: int) -> None:
        self._told, self._pictures = told, pictures
        self._total = sum(steps for _, steps in runs) * pictures
        self._before = 0

    def of(self, steps: int) -> Callable[[int], None]:
        """Return who is told how many pictures of the next run are done."""
        before = self._before
        self._before += steps * self._pictures
        return lambda done: self._told("whole table", before + steps * done, self._total)


@contextmanager
def _begun(options: Options, *, needs_book: bool = False) -> Iterator[_Work]:
    """Load the model, and what an interrupted call left; forget that at the end."""
    model, console = load(options.model), Console(stderr=True)
    options.require(model)
    setting, folder = options.setting(model), options.plans or model.folder / FOLDER
    has_book = needs_book or options.plans is not None
    shelf = shelf_of(model, setting, folder) if has_book else None
    kept = PartialFolder.opened(options.out / PARTIAL, bound_to(model, options))
    if kept.note:
        console.print(kept.note, markup=False)
    try:
        with bars(console) as progress:
            told = Bars(progress)
            session = Session(model, setting, told, options.pictures(setting), kept)
            yield _Work(model, session, shelf, told, console)
    except KeyboardInterrupt:
        console.print("interrupted: the same command goes on from here")
        raise
    kept.remove()


def bound_to(model: Model, options: Options) -> dict[str, Any]:
    """Return what parts of an evaluation depend on."""
    made = {k: v for k, v in provenance(model).items() if k != "date"}
    return {**made, **options.to_dict()}


def _tell(work: _Work, judged: Sequence[Verdict], page: Path) -> None:
    for verdict in judged:
        work.console.print(
            f"{WORDS[verdict.kept]}: {verdict.about}: {verdict.asked}: {verdict.found}",
            markup=False, highlight=False,
        )  # fmt: skip
    work.console.print(f"{summary(judged)}; {page}", markup=False)


def shelf_of(model: Model, setting: Setting, folder: Path) -> Shelf:
    """Read the plan book of a setting's size; raises CalibrationError when there is none."""
    book = checked_book(model, folder, setting.width, setting.height)
    return Shelf(book, load_corrections(folder, book))
