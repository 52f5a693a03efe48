"""Print what joining and pausing between steps would bring: `python -m tests.stepwise`."""

from __future__ import annotations

import argparse
import sys
from itertools import product
from statistics import pstdev

from tests.stepwise.measuring import BOOK, POLICIES, costs_of, mean, outcome
from tests.stepwise.saving import savings

HEADER = (
    "| costs | load | policy | in time | ± | second half | quality | ± | worth | late | acted |"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stepwise", description=__doc__)
    parser.add_argument("--costs", default="cpu,2,1.3", help="cpu, or 4 pictures ÷ one")
    parser.add_argument("--loads", default="0.7,1,1.5,3", help="multiples of the capacity")
    parser.add_argument("--policies", default=";".join(POLICIES), help="separated by ;")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=120.0)
    args = parser.parse_args()
    sys.stdout.write(f"{HEADER}\n{'|---' * 11}|\n")
    names = args.policies.split(";")
    for costs, load, name in product(args.costs.split(","), args.loads.split(","), names):
        sys.stdout.write(_line(costs, float(load), name, args.seeds, args.seconds) + "\n")
        sys.stdout.flush()
    for costs in args.costs.split(","):
        in_step, joined, ragged = savings(BOOK, costs_of(costs))
        shares = f"in step {in_step:.1%}, joining {joined:.1%}, ragged {ragged:.1%}"
        sys.stdout.write(f"Of two pictures' steps are saved, {costs}: {shares}\n")


def _line(costs: str, load: float, name: str, seeds: int, seconds: float) -> str:
    how = (POLICIES[name], costs_of(costs), load)
    runs = [outcome(*how, seed, seconds) for seed in range(seeds)]
    whole, halves = [run[0] for run in runs], [run[1] for run in runs]
    all_, half = mean(whole), mean(halves)
    spread = 100 * pstdev(o.in_time for o in whole), pstdev(o.quality for o in whole)
    shares = f"{100 * all_.in_time:.1f} % | {spread[0]:.1f} | {100 * half.in_time:.1f} %"
    qualities = f"{all_.quality:.3f} | {spread[1]:.3f} | {all_.worth:.3f}"
    return f"| {costs} | {load} | {name} | {shares} | {qualities} | {all_.late} | {all_.changes} |"


if __name__ == "__main__":
    main()
