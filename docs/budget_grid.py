"""Draw the README's grid: the same prompts and seeds at three budgets, made by a running service.

Example:
  python docs/budget_grid.py --url http://127.0.0.1:8000 --budgets 150,400,1500

"""

from __future__ import annotations

import argparse
import base64
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from app.client import Client

PROMPTS = (
    "red apple", "strawberry", "pizza", "dog face", "penguin", "whale",
    "red heart", "yellow star", "sunflower", "red car", "soccer ball", "smiling face",
)  # fmt: skip
SEED = 1


def main() -> None:
    """Ask for every picture, lay them out, save the grid."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--budgets", default="150,400,1500", help="milliseconds, rising")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures/budgets.png")
    options = parser.parse_args()
    budgets = [float(text) for text in options.budgets.split(",")]
    with Client(options.url) as client:
        rows = [[_made(client, prompt, budget) for prompt in PROMPTS] for budget in budgets]
    _draw(budgets, rows).savefig(options.out, dpi=110)


def _made(client: Client, prompt: str, budget_ms: float) -> dict[str, Any]:
    return client.generate(prompt=prompt, latency_budget_ms=budget_ms, seed=SEED)


def _draw(budgets: list[float], rows: list[list[dict[str, Any]]]) -> Figure:
    figure = Figure(figsize=(1.12 * len(PROMPTS) + 1.9, 1.3 * len(rows) + 0.35))
    grid = figure.subplots(len(rows), len(PROMPTS), gridspec_kw={"wspace": 0.04, "hspace": 0.04})
    figure.subplots_adjust(left=0.125, right=0.995, top=0.92, bottom=0.01)
    for i, (budget, row, line) in enumerate(zip(budgets, rows, grid, strict=True)):
        for prompt, made, axes in zip(PROMPTS, row, line, strict=True):
            axes.imshow(_picture(made), interpolation="bicubic")
            axes.set_axis_off()
            if i == 0:
                axes.set_title(prompt, fontsize=9)
        line[0].text(-0.08, 0.5, _label(budget, row), transform=line[0].transAxes,
                     ha="right", va="center", fontsize=10)  # fmt: skip
    return figure


def _label(budget: float, row: list[dict[str, Any]]) -> str:
    took = median(made["timing"]["total_ms"] for made in row)
    steps = sorted({made["plan"]["steps"] for made in row})
    plan = f"{steps[0]} steps" if len(steps) == 1 else f"{steps[0]}–{steps[-1]} steps"
    reused = median(made["cache"]["hit_ratio"] for made in row)
    return f"budget {budget:.0f} ms\ntook {took:.0f} ms\n{plan}, {reused:.0%} reused"


def _picture(made: dict[str, Any]) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(made["images"][0]["b64_json"])))


if __name__ == "__main__":
    main()
