from __future__ import annotations

import io
from unittest.mock import patch

from rich.console import Console

from workers import calibrating
from workers.calibrating import Bars, bars


def told(*, terminal: bool) -> str:
    """Return what the first two of three pictures made at 0 s and 1 s write."""
    written = io.StringIO()
    moments = patch.object(calibrating, "monotonic", side_effect=[0.0, 1.0, 40.0])
    with bars(Console(file=written, force_terminal=terminal, width=100)) as progress, moments:
        told = Bars(progress)
        for done in (1, 2, 3):
            told("influence", done, 3)
    return written.getvalue()


def test_without_a_terminal_progress_is_a_line_now_and_then() -> None:
    lines = told(terminal=False).splitlines()

    assert [line for line in lines if line.startswith("influence") and "━" not in line] == [
        "influence 1/3",
        "influence 3/3",
    ]


def test_on_a_terminal_progress_is_a_bar() -> None:
    lines = told(terminal=True)

    assert "━" in lines
    assert "influence 1/3" not in lines
