"""Pictures a second without a service: `python -m tests.bench.offline MODEL PLAN SECONDS`."""

from __future__ import annotations

import json
import sys
import time

from tests.bench.engines import GUIDANCE_SCALE
from tests.bench.servers import WISH
from tests.bench.work import MOST_AT_ONCE
from workers.calibration_files import FOLDER, load_book, load_corrections
from workers.pipeline import load
from workers.rendering import render
from workers.sampler import Frame, Prompt
from workers.threads import settle_threads

SIZES = (1, 2, MOST_AT_ONCE)


def main(name: str, plan_name: str, seconds: str) -> None:
    model = load(name)
    settle_threads(model)
    side, folder = model.native_size, model.folder / FOLDER
    book = load_book(folder, side, side)
    plan = next(plan for plan in book.plans if plan.name == plan_name)
    correction = load_corrections(folder, book).get(plan.correction or "")
    fitted = correction and correction.to(model.device, model.dtype)
    frame = Frame(side, side, GUIDANCE_SCALE, plan.solver, plan.schedule, fitted)

    def run(size: int) -> float:
        began_s = time.perf_counter()
        render(model, [Prompt(WISH, None, seed) for seed in range(size)], frame)
        return time.perf_counter() - began_s

    run(1)
    spent: dict[int, list[float]] = {size: [] for size in SIZES}
    until_s = time.perf_counter() + float(seconds)
    while time.perf_counter() < until_s:
        for size in SIZES:
            spent[size].append(run(size))
    per_s = {str(size): size * len(took) / sum(took) for size, took in spent.items()}
    print(json.dumps(per_s))  # noqa: T201 the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
