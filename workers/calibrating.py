"""The calibrate command: settings from options, progress on the terminal, files on disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from workers.calibration import calibrate
from workers.calibration_files import FOLDER, book_path, dependencies, partial_path, save
from workers.calibration_settings import CalibrationSettings
from workers.partial import PartialFolder
from workers.pipeline import load

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import TaskID

    from workers.pipeline import Model

QUIET_S = 15.0


class Bars:
    """One progress bar a stage; where nothing can be redrawn, a line now and then."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._printed_at = -QUIET_S

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` parts of a stage are finished, and a short note beside."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note=note)
        self._progress.update(self._tasks[stage], completed=done, total=total, note=note)
        if not self._progress.console.is_terminal:
            self._print(f"{stage} {done}/{total}{self._left(stage)} {note}".rstrip())

    def _left(self, stage: str) -> str:
        """Say how long the rest of a stage takes at the pace of late, once that is known."""
        left_s = self._progress.tasks[self._tasks[stage]].time_remaining
        return f", {timedelta(seconds=left_s)} left" if left_s else ""

    def _print(self, line: str) -> None:
        now = monotonic()
        if now - self._printed_at >= QUIET_S:
            self._printed_at = now
            self._progress.console.print(line)


def bars(console: Console) -> Progress:
    """Return the progress display of long commands."""
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=console)


def prompts_from(path: Path | None) -> tuple[str, ...]:
    """Return the prompts in a file, or the ones that come with the program."""
    source = path or files("workers").joinpath("prompts.txt")
    return tuple(line for line in source.read_text().splitlines() if line.strip())


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a calibration looks at and for how long, as `CalibrationSettings` says."""

    pictures: int
    most_rows: int | None
    rounds: int
    moves_minutes: float
    train_minutes: float


def run(
    source: str,
    size: tuple[int, int] | None,
    guidance_scale: float,
    prompts: Path | None,
    seeds: int,
    effort: Effort,
    out: Path | None,
) -> None:
    """Calibrate a model and write its files; prints where they are."""
    console = Console(stderr=True)
    model = load(source)
    width, height = size or (model.native_size, model.native_size)
    settings = CalibrationSettings(
        width,
        height,
        guidance_scale,
        prompts_from(prompts),
        seeds=seeds,
        quality_pictures=effort.pictures,
        influence_pictures=effort.pictures,
        correction_pictures=effort.pictures,
        most_rows=effort.most_rows,
        rounds=effort.rounds,
        moves_minutes=effort.moves_minutes,
        train_minutes=effort.train_minutes,
    )
    calibrate_into(out or model.folder / FOLDER, model, settings, console)


def calibrate_into(
    folder: Path, model: Model, settings: CalibrationSettings, console: Console
) -> None:
    """Calibrate and write what came of it, or go on where the same was interrupted."""
    size = settings.width, settings.height
    kept = PartialFolder.opened(partial_path(folder, *size), dependencies(model, settings))
    if kept.note:
        console.print(kept.note, markup=False)
    try:
        with bars(console) as progress:
            calibration = calibrate(model, settings, Bars(progress), kept)
    except KeyboardInterrupt:
        console.print("interrupted: the same command goes on from here")
        raise
    save(calibration, model, folder)
    kept.remove()
    console.print(f"{len(calibration.book.plans)} plans in {book_path(folder, *size)}")
