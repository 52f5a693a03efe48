"""The sub-commands of the torch side. Imports torch only once a command runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from app.contract.picture_sets import QUESTION
from workers.command_options import (
    EXAMPLES,
    MOST_STEPS,
    compared,
    listed,
    pictured,
    size_of,
)


@click.command(epilog=EXAMPLES + "blockcache calibrate --model ./my-model --size 512x512 --seeds 2")
@click.option("--model", required=True, help="Bundled name, diffusers folder or hub id.")
@click.option("--size", default=None, help="Picture size, e.g. 512x512; default: the model's own.")
@click.option("--guidance-scale", default=3.0, show_default=True)
@click.option("--prompts", type=click.Path(path_type=Path, exists=True), help="One prompt a line.")
@click.option("--seeds", default=2, show_default=True, help="Pictures per prompt.")
@click.option("--pictures", type=click.IntRange(1), default=32, show_default=True,
              help="How many of them tell quality: fewer are quicker, and rougher.")  # fmt: skip
@click.option("--most-rows", type=click.IntRange(1),
              help="Most different steps of a searched schedule.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(0), default=0, show_default=True,
              help="Of search along the best plans' own runs.")  # fmt: skip
@click.option("--moves-minutes", type=click.FloatRange(0), default=0.0, show_default=True,
              help="Move single units of the best plans for so long.")  # fmt: skip
@click.option("--train-minutes", type=click.FloatRange(0), default=0.0, show_default=True,
              help="Train the correction of each of the best plans.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Default: blockcache/ in the model.")
def calibrate(
    model: str, size: str | None, guidance_scale: float, prompts: Path | None, seeds: int,
    pictures: int, most_rows: int | None, rounds: int, moves_minutes: float,
    train_minutes: float, out: Path | None,
) -> None:  # fmt: skip
    """Measure change profiles, costs and plans of a model on this device; write its plan book.

    Interrupted in any way, the same command goes on where it was.
    """
    from workers.calibrating import Effort, run

    effort = Effort(pictures, most_rows, rounds, moves_minutes, train_minutes)
    run(model, size_of(size) if size else None, guidance_scale, prompts, seeds, effort, out)


@click.command(
    epilog=EXAMPLES + "blockcache worker --model emoji --store-url redis://127.0.0.1:6379/0"
)
@click.option("--model", required=True, help="Bundled name, diffusers folder or hub id.")
@click.option("--store-url", envvar="BLOCKCACHE_STORE_URL", required=True)
@click.option("--plans", type=click.Path(path_type=Path), help="Folder of the plan book.")
@click.option("--size", default=None, help="Picture size, e.g. 512x512; default: the model's own.")
@click.option("--max-batch", type=click.IntRange(1, 64),
              help="Most pictures at once; default: measured.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: measured.")
@click.option("--nice", type=click.IntRange(0, 19), default=0, envvar="BLOCKCACHE_WORKER_NICE",
              show_default=True, help="Lower the priority.")  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(["float16", "bfloat16", "float32"]),
    help="Compute in it; default: float16 on a GPU, float32 on a CPU.",
)  # fmt: skip
@click.option(
    "--upgrade/--no-upgrade", default=True, show_default=True,
    help="Make better pictures than promised while nobody else waits.",
)  # fmt: skip
@click.option("--pausing/--no-pausing", default=True, envvar="BLOCKCACHE_WORKER_PAUSING",
              show_default=True, help="Pause batches for earlier deadlines.")  # fmt: skip
@click.option(
    "--graphs/--no-graphs", default=True, show_default=True,
    help="On CUDA, record steps as CUDA graphs and replay them.",
)  # fmt: skip
@click.option("--metrics-host", default="127.0.0.1", show_default=True)
@click.option("--metrics-port", default=9101, show_default=True, help="0 turns metrics off.")
@click.option(
    "--otlp-endpoint", envvar="BLOCKCACHE_OTLP_ENDPOINT",
    help="OTLP/HTTP collector that gets the traces.",
)  # fmt: skip
def worker(
    model: str, store_url: str, plans: Path | None, size: str | None, max_batch: int | None,
    threads: int | None, dtype: str | None, nice: int, upgrade: bool, pausing: bool,
    graphs: bool, metrics_host: str, metrics_port: int, otlp_endpoint: str | None,
) -> None:  # fmt: skip
    """Make pictures: claim jobs of one model from the store until told to stop."""
    # OpenMP threads that spin while they wait for one another slow a worker down many times over
    # as soon as another process wants their core. Read by the library when torch loads it.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from workers.loop_settings import LoopSettings
    from workers.main import WorkerSettings, run

    settings = WorkerSettings(
        model=model,
        store_url=store_url,
        plans=plans,
        size=size_of(size) if size else None,
        max_batch=max_batch,
        threads=threads,
        dtype=dtype,
        graphs=graphs,
        nice=nice,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
        otlp_endpoint=otlp_endpoint,
        loop=LoopSettings(upgrade=upgrade, pausing=pausing),
    )
    run(settings)


@click.group(epilog=EXAMPLES + "blockcache evaluate table --model emoji --out results/")
def evaluate() -> None:
    """Measure what caching a model gives: time and closeness, beside the paper and its peers."""


JUDGE_EXAMPLES = """\b
Examples:
  blockcache judge make --model emoji --budget-ms 400 --out set/
  blockcache judge make --model emoji --out set/ --pair ddim-50-uncached ddim-20-uncached
"""


@evaluate.command(epilog=EXAMPLES + "blockcache evaluate table --model emoji --out results/")
@pictured
@compared
def table(**options: Any) -> None:
    """Compare methods at every solver and step count; write table, charts, pictures and verdicts.

    With --plans the plan book's plans are compared instead of schedules searched anew. Interrupted,
    the same command goes on where it was.
    """
    from workers.evaluating.options import TableOptions
    from workers.evaluating.running import run_table

    run_table(TableOptions(**options))


@evaluate.command(epilog=EXAMPLES + "blockcache evaluate frontier --model emoji --out results/")
@pictured
@MOST_STEPS
def frontier(**options: Any) -> None:
    """Compare a plan book's plans with fewer steps at ten times; write table, chart and verdicts.

    Interrupted, the same command goes on where it was.
    """
    from workers.evaluating.options import FrontierOptions
    from workers.evaluating.running import run_frontier

    run_frontier(FrontierOptions(**options))


@evaluate.command(
    "all", epilog=EXAMPLES + "blockcache evaluate all --model emoji --seeds 2 --out results/"
)
@pictured
@compared
@MOST_STEPS
def everything(**options: Any) -> None:
    """Make table, frontier and speed-ups, and tell for every bar whether the model keeps it.

    Interrupted, the same command goes on where it was.
    """
    from workers.evaluating.options import AllOptions
    from workers.evaluating.running import run_all

    run_all(AllOptions(**options))


@click.command("make", epilog=JUDGE_EXAMPLES)
@pictured
@click.option(
    "--budget-ms",
    "budgets_ms",
    multiple=True,
    type=click.FloatRange(0, min_open=True),
    help="Compare the plan for it with the longest uncached run that is no slower. Repeatable.",
)
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    nargs=2,
    metavar="METHOD BASELINE",
    help="Compare two methods: a plan's name, or uncached like dpmpp_2m-20-uncached. Repeatable.",
)
@click.option("--question", default=QUESTION, show_default=True, help="What judges are asked.")
def judge_make(**options: Any) -> None:
    """Make a picture set: the same prompts and seeds by two methods or more.

    It shows nothing to judges of which method made a picture.
    """
    from workers.evaluating.judging import JudgeOptions, run_make

    if not (options["budgets_ms"] or options["pairs"]):
        raise click.UsageError("name what to compare: --budget-ms MS, or --pair METHOD BASELINE")
    run_make(JudgeOptions(**options))


@evaluate.command("speed-ups", epilog=EXAMPLES + "blockcache evaluate speed-ups --model emoji")
@click.option("--model", default=None, help="Bundled name, diffusers folder or hub id.")
@click.option(
    "--shape", default=None, help="A UNet shape with random weights instead: sd15, sdxl, emu."
)
@click.option("--size", default=None, type=int, help="Side of the pictures in pixels.")
@click.option("--steps", default=20, show_default=True)
@click.option("--repeats", default=7, show_default=True, help="Pairs of runs a fraction.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write JSON.")
def speed_ups(
    model: str | None, shape: str | None, size: int | None, steps: int, repeats: int,
    json_path: Path | None,
) -> None:  # fmt: skip
    """Measure how much faster cached runs are, beside what their unit costs promise."""
    from workers.evaluating.printing import run

    if (model is None) == (shape is None):
        raise click.UsageError("name either a --model or a --shape")
    run(model, shape, size, steps, repeats, json_path)


@evaluate.command(epilog=EXAMPLES + "blockcache evaluate shapes --out results/ --limit-s 150")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to fill.")
@click.option(
    "--shapes", default="sd15,sdxl", show_default=True, callback=listed(str),
    help="UNet shapes: sd15, sdxl, emu.",
)  # fmt: skip
@click.option("--steps", default="20,50", show_default=True, callback=listed(int))
@click.option(
    "--batches", default="1,4", show_default=True, callback=listed(int),
    help="Pictures at once.",
)  # fmt: skip
@click.option(
    "--repeats", default=3, show_default=True, type=click.IntRange(1),
    help="Rounds of the fewest steps; of more steps fewer.",
)  # fmt: skip
@click.option(
    "--limit-s", type=click.FloatRange(0, min_open=True),
    help="Start nothing that would end later; default: measure all.",
)  # fmt: skip
@click.option(
    "--replay/--no-replay", default=True, show_default=True,
    help="Replay recorded steps where the device can.",
)  # fmt: skip
def shapes(**options: Any) -> None:
    """Compare the speed of methods on UNets of random weights; write tables.

    Of diffusers' own loop, DeepCache and schedules here. Pictures of random weights mean nothing.
    """
    from workers.evaluating.shape_cases import ShapesOptions
    from workers.evaluating.shape_running import run_shapes

    run_shapes(ShapesOptions(**options))


@click.command(epilog=EXAMPLES + "blockcache show --model emoji --budget-ms 600 --out plots/")
@click.option("--model", default="emoji", show_default=True)
@click.option("--plans", type=click.Path(path_type=Path), help="Folder of the plan book.")
@click.option("--size", default=None, help="Picture size, e.g. 512x512; default: the model's own.")
@click.option("--budget-ms", default=1000.0, show_default=True, help="Show the plan for it.")
@click.option("--out", type=click.Path(path_type=Path), help="Write PNG plots into this folder.")
@click.option("--features", "prompt", metavar="PROMPT",
              help="With --out: also draw what two units make of this prompt.")  # fmt: skip
def show(
    model: str, plans: Path | None, size: str | None, budget_ms: float, out: Path | None,
    prompt: str | None,
) -> None:  # fmt: skip
    """Show a model's plan for a budget: its schedule, change curves, frontier, feature maps."""
    from workers.showing import run

    if prompt is not None and out is None:
        raise click.UsageError("--features draws pictures: say where with --out")
    run(model, plans, size_of(size) if size else None, budget_ms, out, prompt)
