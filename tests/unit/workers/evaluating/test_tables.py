from __future__ import annotations

import csv
import io
from dataclasses import replace

from tests.table_rows import a_row
from workers.evaluating.tables import COLUMNS, comma_separated, markdown, runs


def test_rows_are_grouped_by_solver_and_steps_in_their_order() -> None:
    first, second = a_row(solver="ddim"), a_row(solver="dpmpp_2m")

    assert runs([first, first, second]) == [
        ("ddim, 20 steps", [first, first]),
        ("dpmpp_2m, 20 steps", [second]),
    ]


def test_a_page_has_verdicts_a_table_for_each_run_and_notes() -> None:
    rows = [a_row(method="DeepCache"), a_row(steps=50)]
    page = markdown("emoji", rows, "judged", ["a note"])

    assert page.startswith("# emoji\n\njudged\n\n## ddim, 20 steps\n\n| method | img/s |")
    assert "## ddim, 50 steps" in page
    assert "| DeepCache | 4 | 250.0 | 240.0 – 260.0 | 1.50× |" in page
    assert page.endswith("\n- a note\n")


def test_what_is_not_known_is_a_dash() -> None:
    row = a_row(compute_fraction=None, same_time=None, to_data=None)
    cells = {column.heading: column.text(row) for column in COLUMNS}

    assert cells["computed"] == cells["steps in its time"] == cells["Fréchet, data"] == "–"


def test_the_file_has_every_figure_in_a_column_of_its_own() -> None:
    rows = [a_row(), replace(a_row(), to_data=1.5)]
    first, second = csv.DictReader(io.StringIO(comma_separated(rows)))

    assert first["to_uncached.psnr_db"] == "40.0"
    assert (first["to_data"], second["to_data"]) == ("", "1.5")
    assert first["pictures_per_s"] == "4.0"
