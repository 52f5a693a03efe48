"""The command that makes the demonstration model: `python -m workers.demo --help`."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import torch
from rich.console import Console

from workers.calibrating import Bars, bars
from workers.demo.describing import describe, record
from workers.demo.making import Workshop
from workers.demo.presets import PRESETS
from workers.errors import WorkerError
from workers.pipeline import best_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.demo.presets import Preset

EXAMPLES = "\b\nExample:\n  "
WORK = Path("build") / "demo"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make the bundled text-to-image model from pictures of emoji, and say how good it is."""


@main.command(epilog=EXAMPLES + "python -m workers.demo make --preset cpu --out my-emoji")
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default=None, help="Default: by device."
)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True,
              help="Downloads, training states and samples; the same folder resumes.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The model's folder.")
@click.option("--begin-with", type=click.Path(path_type=Path, exists=True),
              help="Train on from this exported model.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1), help="Steps of the UNet; default: the preset's.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: torch's choice.")
def make(
    preset: str | None, work: Path, out: Path, begin_with: Path | None, steps: int | None,
    threads: int | None,
) -> None:  # fmt: skip
    """Fetch, draw, train, export, measure. Interrupted at any point, the same command goes on."""
    if threads:
        torch.set_num_threads(threads)
    chosen = _lengthened(_preset(preset), steps)
    with _workshop(chosen, work, begin_with) as workshop:
        workshop.parts(workshop.pictures()).export(out)
        record(workshop, out)
        describe(workshop, out)
    click.echo(f"the model is in {out}")


@main.command(epilog=EXAMPLES + "python -m workers.demo measure --preset cpu --model my-emoji")
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default=None, help="Default: by device."
)
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True,
              help="Where the pictures are.")  # fmt: skip
@click.option("--model", type=click.Path(path_type=Path, exists=True), required=True,
              help="The model's folder.")  # fmt: skip
def measure(preset: str | None, work: Path, model: Path) -> None:
    """Measure how good a model is; write figures, sheets and card into its folder.

    The card of a model that this program did not train is left as it is.
    """
    with _workshop(_preset(preset), work, None) as workshop:
        carded = describe(workshop, model)
    click.echo(f"figures and sheets are in {model}{'' if carded else '; its card is unchanged'}")


@contextmanager
def _workshop(preset: Preset, work: Path, begin_with: Path | None) -> Iterator[Workshop]:
    """Show progress; say in one sentence what went wrong or how a stopped run goes on."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_float32_matmul_precision("high")  # Muon's products, on a GPU
    work.mkdir(parents=True, exist_ok=True)
    try:
        with bars(Console(stderr=True)) as progress:
            yield Workshop(preset, work, best_device(), Bars(progress), begin_with)
    except KeyboardInterrupt:
        raise click.ClickException(f"stopped; the same command goes on from {work}") from None
    except WorkerError as error:
        raise click.ClickException(str(error)) from error


def _preset(name: str | None) -> Preset:
    return PRESETS[name or {"cuda": "gpu"}.get(best_device().type, "cpu")]


def _lengthened(preset: Preset, steps: int | None) -> Preset:
    course = replace(preset.diffusion, steps=steps or preset.diffusion.steps)
    return replace(preset, diffusion=course)


if __name__ == "__main__":
    main()
