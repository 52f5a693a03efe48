"""Options that several commands of the torch side share, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = "\b\nExample:\n  "


def size_of(text: str) -> tuple[int, int]:
    """Read a size like 512x512; raises BadParameter for any other text."""
    try:
        width, height = (int(side) for side in text.lower().split("x"))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a size like 512x512") from error
    if min(width, height) < 8 or width % 8 or height % 8:
        raise click.BadParameter(f"{text!r}: both sides must be multiples of 8")
    return width, height


def listed(kind: Callable[[str], Any]) -> Callable[..., tuple[Any, ...]]:
    """Return a callback that reads a list with commas."""

    def parse(_ctx: click.Context, option: click.Parameter, text: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(part.strip()) for part in text.split(",") if part.strip())
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is not such a list", param=option) from error

    return parse


def sized(_ctx: click.Context, _option: click.Parameter, text: str | None) -> Any:
    """Read a size, if one was given."""
    return size_of(text) if text else None


def pictured(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every evaluation of pictures is told."""
    for option in reversed(PICTURED):
        command = option(command)
    return command


PICTURED = (
    click.option("--model", required=True, help="Bundled name, diffusers folder or hub id."),
    click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to fill."),
    click.option("--size", callback=sized, help="E.g. 512x512; default: the model's own."),
    click.option("--guidance-scale", default=3.0, show_default=True),
    click.option(
        "--prompts", type=click.Path(path_type=Path, exists=True),
        help="One a line, none that calibration has seen; default: 48 that come along.",
    ),
    click.option("--most-prompts", type=click.IntRange(1), help="Only the first so many."),
    click.option("--seeds", default=1, show_default=True, help="Pictures per prompt."),
    click.option(
        "--timed", default=24, show_default=True, type=click.IntRange(1),
        help="Pictures that are timed, one after the other; the rest is made by all cores at once.",
    ),
    click.option("--plans", type=click.Path(path_type=Path), help="Folder of the plan book."),
)  # fmt: skip


COMPARED = (
    click.option("--solvers", default="ddim,dpmpp_2m", show_default=True, callback=listed(str)),
    click.option("--steps", default="20,50", show_default=True, callback=listed(int)),
    click.option(
        "--calibration-pictures", default=16, show_default=True, type=click.IntRange(1)
    ),
    click.option(
        "--speed-ups", callback=listed(float), default="",
        help="Of searched schedules, e.g. 1.5,2; default: 1.5 up to 30 steps, then 1.8, and those "
        "of all peers.",
    ),
    click.option("--delta", default=0.5, show_default=True, help="Of the paper's rule."),
    click.option(
        "--train-minutes", default=0.0, show_default=True, help="Of each trained correction."
    ),
    click.option(
        "--data", type=click.Path(path_type=Path, exists=True), help="Folder of real pictures."
    ),
    click.option(
        "--rounds", default=3, show_default=True, type=click.IntRange(1), help="Of timing before."
    ),
)  # fmt: skip
MOST_STEPS = click.option(
    "--most-steps", default=20, show_default=True, type=click.IntRange(1),
    help="Of the frontier: go up to the uncached run of so many.",
)  # fmt: skip


def compared(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every table is told."""
    for option in reversed(COMPARED):
        command = option(command)
    return command
