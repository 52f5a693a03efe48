"""The evaluate shapes command: case after case to files, while there is time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from rich.console import Console

from workers.calibrating import Bars, bars
from workers.calibration_files import provenance
from workers.evaluating.errors import EvaluationError
from workers.evaluating.shape_cases import Allowance
from workers.evaluating.shape_runs import Contest, Outfit
from workers.evaluating.shape_tables import NOTES, comma_separated, markdown, speeds

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.evaluating.shape_cases import Case, ShapesOptions
    from workers.evaluating.shape_tables import Speed

    Progress = Callable[[str, int, int], None]


def run_shapes(options: ShapesOptions) -> None:
    """Measure all cases there is time for; prints where the table is.

    Raises EvaluationError when there was none for a single round.
    """
    options.require()
    console = Console(stderr=True)
    with bars(console) as progress:
        measured = Sweep(options, Allowance(options.limit_s)).run(Bars(progress))
    if not measured:
        raise EvaluationError(f"{options.limit_s:g} s were over before the first round")
    console.print(str(options.out / "table.md"))


class Sweep:
    """Goes through all cases; writes what it has after every round."""

    def __init__(self, options: ShapesOptions, allowance: Allowance) -> None:
        self._options, self._allowance = options, allowance
        self._outfits: dict[str, Outfit] = {}
        self._found: dict[Case, list[Speed]] = {}
        self._notes: dict[str, None] = {}

    def run(self, progress: Progress) -> int:
        """Measure every case that would end in time, note which would not; return how many did."""
        for case in self._options.cases:
            if not (self._allowance.holds() and self._measured(case, progress)):
                name = f"{case.shape}, {case.steps} steps, batch {case.batch}"
                self._notes[f"{name}: left out for want of time."] = None
        self._write()
        return len(self._found)

    def _measured(self, case: Case, progress: Progress) -> bool:
        """Run the rounds of a case; return whether there was time for one."""
        contest, rounds = Contest(self._outfit(case.shape), case), self._options.rounds(case)
        if not self._allowance.holds(contest.expected_s):
            return False
        contest.warm_up()
        self._notes |= dict.fromkeys(contest.notes)
        for done in range(1, rounds + 1):
            if not self._allowance.holds(contest.expected_s):
                break
            contest.run_round()
            self._found[case] = speeds(contest)
            self._write()
            progress(f"{case.shape} {case.steps} × {case.batch}", done, rounds)
        return case in self._found

    def _outfit(self, shape: str) -> Outfit:
        if shape not in self._outfits:
            self._outfits[shape] = Outfit.of(shape, replay=self._options.replay)
        return self._outfits[shape]

    def _write(self) -> None:
        """Write table.md, table.csv and results.json, once there is anything."""
        rows = [row for found in self._found.values() for row in found]
        if not rows:
            return
        out, notes = self._options.out, [*NOTES, *self._notes]
        made = provenance(next(iter(self._outfits.values())).model)
        made["versions"] |= {"CUDA": torch.version.cuda} if torch.version.cuda else {}
        out.mkdir(parents=True, exist_ok=True)
        told = {"made": made, "settings": self._options.to_dict(), "notes": notes}
        data = {**told, "rows": [row.to_dict() for row in rows]}
        (out / "results.json").write_text(json.dumps(data, indent=1) + "\n")
        (out / "table.csv").write_text(comma_separated(rows))
        (out / "table.md").write_text(markdown(made, rows, notes))
