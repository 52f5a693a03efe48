"""What was found so far: a JSON file that a run can go on from, and a table beside it."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Rows = Callable[[Mapping[str, Any]], Sequence[Sequence[str]]]


@dataclass
class Report:
    """Findings by name, each written as soon as it is there, with a Markdown table of all."""

    path: Path
    columns: Sequence[str]
    rows: Rows
    found: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def opened(
        cls, path: Path, columns: Sequence[str], rows: Rows, settings: Mapping[str, Any],
        *, resume: bool,
    ) -> Self:  # fmt: skip
        """Begin a report, or with `resume` go on; raises ClickException if settings differ."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (resume and path.exists()):
            return cls(path, columns, rows, {"settings": dict(settings), "machine": machine()})
        found = json.loads(path.read_text("utf-8"))
        if found["settings"] != json.loads(json.dumps(dict(settings))):
            raise click.ClickException(f"{path} has other settings; leave out --resume")
        return cls(path, columns, rows, found)

    def part(self, *names: str) -> dict[str, Any]:
        """Return what was found under these names, to be looked at or filled."""
        found = self.found
        for name in names:
            found = found.setdefault(name, {})
        return found

    def write(self) -> None:
        """Write what there is."""
        self.path.write_text(json.dumps(self.found, indent=1) + "\n", "utf-8")
        self.path.with_suffix(".md").write_text(self.table(), "utf-8")

    def table(self) -> str:
        """Return the table in Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows(self.found)]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machine() -> dict[str, Any]:
    """Return where and when it was measured."""
    return {
        "cores": os.cpu_count(), "machine": platform.machine(), "system": platform.release(),
        "python": platform.python_version(), "load": os.getloadavg()[0],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def shown(value: float | None, how: str) -> str:
    """Return a number as text, a dash for none."""
    return "–" if value is None else format(value, how)
