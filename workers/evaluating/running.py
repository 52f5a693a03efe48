"""The evaluate commands: from options to files, with progress on the terminal."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from rich.console import Console

from workers.calibrating import Bars, bars
from workers.calibration_files import FOLDER, load_corrections
from workers.evaluating.frontier import points
from workers.evaluating.scores import pictures_in
from workers.evaluating.session import Session, Shelf
from workers.evaluating.writing import write_frontier, write_table
from workers.main import checked_book
from workers.pipeline import load

if TYPE_CHECKING:
    from pathlib import Path

    from workers.evaluating.options import FrontierOptions, TableOptions
    from workers.evaluating.session import Setting
    from workers.pipeline import Model


def run_table(options: TableOptions) -> None:
    """Write the table of every solver and step count; prints where it is."""
    model, console = load(options.model), Console(stderr=True)
    options.require(model)
    setting, folder = options.setting(model), options.data
    shelf = None if options.plans is None else shelf_of(model, setting, options.plans)
    data = None if folder is None else pictures_in(folder, setting.width, setting.height)
    found = []
    with bars(console) as progress:
        session = Session(model, setting, Bars(progress), data)
        for solver, steps in product(options.solvers, options.steps):
            found.append(session.evaluated(solver, steps, options.lineup, shelf, options.rounds))
            page = write_table(found, session, options)  # so far, should the rest fail
    console.print(str(page))


def run_frontier(options: FrontierOptions) -> None:
    """Write what a plan book buys for every time; prints where it is."""
    model, console = load(options.model), Console(stderr=True)
    setting = options.setting(model)
    shelf = shelf_of(model, setting, options.plans or model.folder / FOLDER)
    with bars(console) as progress:
        told = Bars(progress)
        session = Session(model, setting, told)
        found = points(session, shelf, options.most_steps, told)
    page = write_frontier(found, session, options)
    console.print(str(page))


def shelf_of(model: Model, setting: Setting, folder: Path) -> Shelf:
    """Read the plan book of a setting's size; raises CalibrationError when there is none."""
    book = checked_book(model, folder, setting.width, setting.height)
    return Shelf(book, load_corrections(folder, book))
