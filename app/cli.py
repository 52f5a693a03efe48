"""The command `blockcache`: lists what every package registers, loads only what is run."""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from app.contract.errors import ContractError
from app.environment import resolve
from app.errors import GatewayError
from schedules.errors import ScheduleError

GROUP = "blockcache.commands"
EXPECTED = (GatewayError, ContractError, ScheduleError, OSError)
EXAMPLES = """\b
Examples:
  blockcache up
  blockcache generate "a smiling cat" --budget-ms 800 -o cat.png
  blockcache plan --budget-ms 800
"""


class Commands(click.Group):
    """Sub-commands by entry point; a command's module is imported when the command is run."""

    def __init__(self, *arguments: Any, entry_group: str = GROUP, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._entry_group = entry_group

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        """Return the names of all registered commands."""
        return sorted(entry_points(group=self._entry_group).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command; None when there is no such name."""
        found = list(entry_points(group=self._entry_group, name=cmd_name))
        return _load(found[0]) if found else super().get_command(ctx, cmd_name)


HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


@click.group(cls=Commands, epilog=EXAMPLES, context_settings=HELP_OPTIONS)
@click.version_option(package_name="blockcache")
def blockcache() -> None:
    """Text-to-image that keeps a latency budget by block caching."""


def main() -> None:
    """Run the command line; expected errors are one sentence on stderr and exit code 1."""
    try:
        resolve(os.environ)
        blockcache.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        if not is_expected(error):
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def is_expected(error: Exception) -> bool:
    """Whether an error says in one sentence what went wrong, so that a traceback only hides it.

    That is the system's refusals, and every error a package that registers commands has defined.
    """
    packages = {entry.module.split(".")[0] for entry in entry_points(group=GROUP)}
    return isinstance(error, EXPECTED) or type(error).__module__.split(".")[0] in packages


def _load(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except ImportError as error:
        return _absent(entry.name, str(error))
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.value} is not a command")
    return command


def _absent(name: str, why: str) -> click.Command:
    """Stand in for a command whose packages are not installed."""

    def explain(*_: str) -> None:
        raise click.ClickException(f"{name} cannot run here: {why}. Install what it needs.")

    takes_anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    help_text = f"Not available: {why}."
    return click.Command(name, takes_anything, explain, help=help_text, add_help_option=False)


if __name__ == "__main__":
    main()
