"""Picture sets for blind judging: from options to a folder of pictures without names."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console

from app.contract.picture_sets import (
    MANIFEST,
    QUESTION,
    Comparison,
    Pictured,
    PictureSet,
    Request,
    new_file,
)
from schedules.planner import Infeasible, plan
from workers.calibrating import Bars, bars
from workers.calibration_files import FOLDER, load_costs, provenance
from workers.calibration_settings import REFERENCE
from workers.evaluating.comparison import TIE, UNCACHED, run
from workers.evaluating.errors import EvaluationError
from workers.evaluating.frontier import PLANS
from workers.evaluating.methods import Method, Subject
from workers.evaluating.options import Options
from workers.evaluating.running import shelf_of
from workers.images import to_png
from workers.pipeline import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schedules.cost import CostModel
    from workers.evaluating.comparison import Outcome
    from workers.evaluating.session import Setting, Shelf
    from workers.pipeline import Model

UNCACHED_NAME = re.compile(r"(?P<solver>[a-z0-9_.]+)-(?P<steps>[1-9][0-9]{0,2})-uncached", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions(Options):
    """What is compared: for each budget its plan with as quick a run, and pairs by name."""

    budgets_ms: tuple[float, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    question: str = QUESTION


def run_make(options: JudgeOptions) -> None:
    """Make all pictures and write the set; prints where it is.

    Raises EvaluationError when there is a set already, a method is not known, or a budget has no
    plan or no uncached run that is as quick.
    """
    if (options.out / MANIFEST).exists():
        raise EvaluationError(f"{options.out} holds a picture set, choose another --out")
    model, console = load(options.model), Console(stderr=True)
    setting, folder = options.setting(model), options.plans or model.folder / FOLDER
    names = Names(model, setting, shelf_of(model, setting, folder))
    pairs = [*options.pairs]
    if options.budgets_ms:
        costs = load_costs(folder, setting.width, setting.height)
        pairs += [names.matched(budget_ms, costs) for budget_ms in options.budgets_ms]
    methods = [
        names.method(name) for name in dict.fromkeys(name for pair in pairs for name in pair)
    ]
    with bars(console) as progress:
        subjects = [Subject.of(model, one, methods[0].frame) for one in setting.requests]
        outcomes = run(model, methods, subjects, Bars(progress), timed=setting.timed)
    console.print(str(_write(model, setting, options, pairs, outcomes)))


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """Methods by name: the plans of a book, and uncached runs of any solver and step count."""

    model: Model
    setting: Setting
    shelf: Shelf

    def method(self, name: str) -> Method:
        """Return the method of that name; raises EvaluationError, or UnknownSolver."""
        found = next((p for p in self.shelf.book.plans if p.name == name), None)
        if found is not None:
            frame = self.setting.frame(self.model, found.solver, found.steps)
            return Method(name, PLANS, self.shelf.followed(frame, found))
        if wanted := UNCACHED_NAME.fullmatch(name):
            frame = self.setting.frame(self.model, wanted["solver"], int(wanted["steps"]))
            return Method(name, UNCACHED, frame)
        raise EvaluationError(
            f"{name!r} is no plan of the plan book, nor uncached like dpmpp_2m-20-uncached; "
            "`blockcache plan` and GET /plans name plans"
        )

    def matched(self, budget_ms: float, costs: CostModel) -> tuple[str, str]:
        """Return the plan for a budget and the longest uncached run that is no slower.

        Both by measured costs. Raises EvaluationError when there is none.
        """
        choice = plan(budget_ms, 0.0, self.shelf.book, costs)
        if isinstance(choice, Infeasible):
            least = f"the fastest needs {choice.minimum_ms:.0f} ms"
            raise EvaluationError(f"no plan fits into {budget_ms:g} ms; {least}")
        picked = choice.picked.plan
        within_ms = TIE * costs.total_ms(picked.steps, picked.unit_runs)
        steps = max(self._uncached_within(within_ms, costs), default=0)
        baseline = f"{REFERENCE[0]}-{steps}-uncached"
        if not steps or baseline == picked.name:
            raise EvaluationError(
                f"{picked.name}, the plan for {budget_ms:g} ms, has no other uncached run beside "
                "it that is as quick; choose another budget"
            )
        return picked.name, baseline

    def _uncached_within(self, within_ms: float, costs: CostModel) -> Iterator[int]:
        units = len(self.model.units.graph)
        for steps in range(1, REFERENCE[1] + 1):
            if costs.total_ms(steps, (steps,) * units) <= within_ms:
                yield steps


def _write(
    model: Model,
    setting: Setting,
    options: JudgeOptions,
    pairs: Sequence[tuple[str, str]],
    outcomes: Sequence[Outcome],
) -> Path:
    """Write pictures, then the manifest, so that a set with a manifest is whole."""
    places = {outcome.method.name: number for number, outcome in enumerate(outcomes)}
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = PictureSet(
        id=secrets.token_hex(16),
        question=options.question,
        requests=tuple(Request(one.text, one.seed) for one in setting.requests),
        methods=tuple(_pictured(outcome, options.out) for outcome in outcomes),
        comparisons=tuple(Comparison(places[a], places[b]) for a, b in dict.fromkeys(pairs)),
        made={**provenance(model), "model": model.name, "settings": options.to_dict()},
    )
    path = options.out / MANIFEST
    path.write_text(pictures.encode(), "utf-8")
    return path


def _pictured(outcome: Outcome, folder: Path) -> Pictured:
    files = tuple(new_file() for _ in outcome.pictures)
    for name, pixels in zip(files, outcome.pictures, strict=True):
        (folder / name).write_bytes(to_png(pixels))
    return Pictured(outcome.method.name, round(median(outcome.ms), 3), files)
