"""Pictures a second of this service with more callers than it can serve, and without service."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import TYPE_CHECKING, Any

from app.bench import PROMPTS
from tests.bench import engines
from tests.bench.reports import shown
from tests.bench.servers import ROOT
from tests.bench.work import MOST_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schedules.book import Plan
    from tests.bench.engines import Engine
    from tests.bench.servers import Running

COLUMNS = ("engine", "plan", "callers", "images/s", "best offline batch", "images/s", "share")
CALLERS = 12
BUDGET_MS = 120_000.0
WARM_S = 0.25  # of the time measured


def saturated(running: Running, seconds: float) -> dict[str, Any]:
    """Return how many pictures a second callers get that ask again at once, all by one plan.

    Counted from the end of one batch to the end of another: what is under way counts nowhere.
    """
    began_s = time.perf_counter()
    from_s = began_s + WARM_S * seconds
    until_s = from_s + seconds
    with ThreadPoolExecutor(CALLERS) as pool:
        runs = list(pool.map(lambda n: _asking(running, n, until_s), range(CALLERS)))
    ended = sorted((at_s, name) for run in runs for at_s, name in run)
    last_before_s = max((at_s for at_s, _ in ended if at_s < from_s), default=began_s)
    counted = [(at_s, name) for at_s, name in ended if last_before_s < at_s <= until_s]
    spent_s = counted[-1][0] - last_before_s if counted else seconds
    plans = Counter(name for _, name in counted)
    return {"callers": CALLERS, "images_per_s": len(counted) / spent_s, "plans": dict(plans)}


def best_plan(engine: Engine) -> str:
    """Return the name of the plan that a patient caller gets: the best of the plan book."""
    plans = engines.book_of(engine.model).plans
    return max(plans, key=lambda plan: plan.quality.value).name


def offline(engine: Engine, plan: str, seconds: float) -> dict[str, Any]:
    """Return how many pictures a second each size of batch makes by that plan, with no service."""
    if engine.name == "timed":
        return _promised(next(p for p in engines.book().plans if p.name == plan))
    command = (sys.executable, "-m", "tests.bench.offline", engine.model, plan, str(seconds))
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


def rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the lines of the table."""
    lines = []
    for name, part in found.get("engines", {}).items():
        if "served" not in part:
            continue
        served, best, per_s = part["served"], *best_of(part["offline"])
        plan = " ".join(served["plans"])
        mine = served["images_per_s"]
        figures = (str(served["callers"]), f"{mine:.3g}", best, f"{per_s:.3g}")
        lines.append([name, plan, *figures, shown(mine / per_s, ".1%")])
    return lines


def best_of(offline_runs: Sequence[Mapping[str, float]]) -> tuple[str, float]:
    """Return the best size of batch and its pictures a second, of the mean over all runs."""
    sizes = offline_runs[0].keys()
    means = {size: fmean(run[size] for run in offline_runs) for size in sizes}
    best = max(means, key=lambda size: means[size])
    return best, means[best]


def _asking(running: Running, caller: int, until_s: float) -> list[tuple[float, str]]:
    ended, number = [], caller
    while time.perf_counter() < until_s:
        name = _asked(running, number)
        ended.append((time.perf_counter(), name))
        number += CALLERS
    return ended


def _asked(running: Running, number: int) -> str:
    prompt = PROMPTS[number % len(PROMPTS)]
    plan = running.generate(prompt, BUDGET_MS, seed=number)["plan"]
    name = f"{plan['solver']}-{plan['steps']}-{plan['schedule']}"
    return name if plan["correction"] is None else f"{name}-corrected"


def _promised(plan: Plan) -> dict[str, float]:
    costs, sizes = engines.costs("timed"), range(1, MOST_AT_ONCE + 1)
    return {str(b): 1000 * b / costs.total_ms(plan.steps, plan.unit_runs, b) for b in sizes}
