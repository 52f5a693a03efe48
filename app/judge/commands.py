"""The sub-commands of `blockcache judge` that need no model. What they need is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli import Commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.contract.picture_sets import PictureSet
    from app.judge.votes import Votes

ENTRY_GROUP = "blockcache.judge"
VOTES = "votes.sqlite3"
PORT = 8020
EXAMPLES = """\b
Examples:
  blockcache judge make --model emoji --budget-ms 400 --out set/
  blockcache judge invite set/ alice bob
  blockcache judge serve set/
  blockcache judge results set/ --csv results.csv
"""

judge = Commands(
    "judge",
    entry_group=ENTRY_GROUP,
    help="Let people judge pictures of two methods blindly, side by side.",
    epilog=EXAMPLES,
)

set_argument = click.argument(
    "folder", metavar="SET", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
votes_option = click.option(
    "--votes",
    "votes_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"File of annotators and votes (default: {VOTES} in the set).",
)


@click.command(epilog="\b\nExample:\n  blockcache judge serve set/ --port 8020")
@set_argument
@votes_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True)
def serve(folder: Path, votes_path: Path | None, host: str, port: int) -> None:
    """Serve the judging page of a picture set; only who has a link sees anything."""
    from app.judge.serving import run

    run(folder, *_opened(folder, votes_path), host, port)


@click.command(
    epilog="\b\nExample:\n  blockcache judge invite set/ alice bob --url https://judge.example"
)
@set_argument
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@votes_option
@click.option(
    "--url", default=f"http://127.0.0.1:{PORT}", show_default=True, help="Where the page is served."
)
@click.option("--again", is_flag=True, help="New links for who has one; the old ones end.")
def invite(
    folder: Path, names: tuple[str, ...], votes_path: Path | None, url: str, *, again: bool
) -> None:
    """Make each annotator a link of their own. It is shown this once."""
    _, votes = _opened(folder, votes_path)
    for name in names:
        click.echo(f"{name} {url.rstrip('/')}/j/{votes.invite(name, again=again)}/")


@click.command(epilog="\b\nExample:\n  blockcache judge results set/ --csv results.csv")
@set_argument
@votes_option
@click.option("--csv", "csv_path", type=click.Path(dir_okay=False, path_type=Path),
              help="Also write the table as CSV.")  # fmt: skip
@click.option("--votes-csv", "votes_csv_path", type=click.Path(dir_okay=False, path_type=Path),
              help="Also write every single vote as CSV.")  # fmt: skip
def results(
    folder: Path, votes_path: Path | None, csv_path: Path | None, votes_csv_path: Path | None
) -> None:
    """Print shares of wins, ties and losses with their 95 % confidence intervals."""
    from app.judge.results import tallies, tallies_csv, votes_csv
    from app.judge.showing import show_tallies

    pictures, votes = _opened(folder, votes_path)
    given = votes.all()
    found = tallies(pictures, given)
    show_tallies(found)
    _write(csv_path, lambda: tallies_csv(found))
    _write(votes_csv_path, lambda: votes_csv(pictures, given))


def _opened(folder: Path, votes_path: Path | None) -> tuple[PictureSet, Votes]:
    from app.judge.sets import read_set
    from app.judge.votes import Votes

    pictures = read_set(folder)
    return pictures, Votes(votes_path or folder / VOTES, pictures.id)


def _write(path: Path | None, text: Callable[[], str]) -> None:
    if path is not None:
        path.write_text(text(), "utf-8")
