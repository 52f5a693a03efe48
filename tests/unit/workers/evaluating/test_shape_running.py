from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from workers.commands import evaluate
from workers.errors import ModelError
from workers.evaluating.errors import EvaluationError
from workers.evaluating.shape_cases import Allowance, ShapesOptions
from workers.evaluating.shape_running import Sweep
from workers.evaluating.shape_tables import Speed, comma_separated, markdown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("small_shapes")
MADE: dict[str, Any] = {"device": "a GPU", "dtype": "bfloat16", "versions": {"torch": "9"}}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, small_shapes: None) -> Path:
    """Return the folder that the command filled."""
    out = tmp_path_factory.mktemp("results")
    wish = ["--shapes", "small,smallxl", "--steps", "4,6", "--batches", "1", "--repeats", "2"]
    done = CliRunner().invoke(evaluate, ["shapes", "--out", str(out), *wish])
    assert done.exit_code == 0, done.output
    return out


def test_every_case_has_a_row_a_method(results: Path) -> None:
    rows = json.loads((results / "results.json").read_text())["rows"]
    cases = {(row["shape"], row["steps"]): row["rounds"] for row in rows}

    assert cases == {
        ("small", 4): 2, ("smallxl", 4): 2, ("small", 6): 1, ("smallxl", 6): 1,
    }  # fmt: skip
    assert len(rows) == 4 * len({row["method"] for row in rows})


def test_diffusers_uncached_loop_is_what_others_are_faster_than(results: Path) -> None:
    rows = list(csv.DictReader((results / "table.csv").read_text().splitlines()))

    assert {row["speed_up"] for row in rows if row["method"] == "diffusers, uncached"} == {"1.0"}
    for row in rows:
        assert float(row["images_per_s"]) == pytest.approx(1e3 / float(row["ms"]))


def test_results_say_what_made_them_and_that_weights_are_random(results: Path) -> None:
    data = json.loads((results / "results.json").read_text())
    page = (results / "table.md").read_text()

    assert data["made"]["versions"].keys() >= {"torch", "diffusers"}
    assert data["settings"]["steps"] == [4, 6]
    assert "no quality was measured" in page
    assert page.count("\n## ") == 4


def run_out(allowance: Sequence[float], out: Path, **wish: Any) -> dict[str, Any]:
    """Measure with a clock that shows these times, the last for ever; return the results.

    The clock is read at the start, before a case, once its costs are known, and before each round.
    """
    times = list(allowance)

    def clock() -> float:
        return times.pop(0) if len(times) > 1 else times[0]

    asked = {"shapes": ("small",), "steps": (2,), "batches": (1,), "repeats": 1, **wish}
    Sweep(ShapesOptions(out=out, **asked), Allowance(1e6, clock)).run(lambda *_: None)
    path = out / "results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def test_what_there_is_no_time_for_is_left_out_and_said(tmp_path: Path) -> None:
    notes = run_out([0.0, 0.0, 0.0, 0.0, 0.0, 2e6], tmp_path, steps=(2, 4))["notes"]

    assert "small, 4 steps, batch 1: left out for want of time." in notes
    assert "small, 2 steps, batch 1: left out for want of time." not in notes


def test_nothing_is_prepared_once_the_time_is_over(tmp_path: Path) -> None:
    found = run_out([0.0, 0.0, 0.0, 0.0, 2e6], tmp_path, shapes=("small", "none such"))

    assert "none such, 2 steps, batch 1: left out for want of time." in found["notes"]


def test_a_case_keeps_the_rounds_there_was_time_for(tmp_path: Path) -> None:
    rows = run_out([0.0, 0.0, 0.0, 0.0, 2e6], tmp_path, repeats=3)["rows"]

    assert {row["rounds"] for row in rows} == {1}


def test_without_any_time_nothing_is_written(tmp_path: Path) -> None:
    assert run_out([0.0, 2e6], tmp_path) == {}


def test_a_limit_too_short_for_anything_is_an_error(tmp_path: Path) -> None:
    wish = ["--out", str(tmp_path), "--shapes", "small", "--limit-s", "0.001"]
    done = CliRunner().invoke(evaluate, ["shapes", *wish])

    assert isinstance(done.exception, EvaluationError)
    assert str(done.exception) == "0.001 s were over before the first round"


def test_an_unknown_shape_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(evaluate, ["shapes", "--out", str(out), "--shapes", "cube"])

    assert isinstance(done.exception, ModelError)
    assert not out.exists()


def a_speed(**changes: Any) -> Speed:
    known: dict[str, Any] = {
        "shape": "sd15", "size": 512, "steps": 20, "batch": 4, "method": "here, uncached",
        "rounds": 3, "ms": 2000.0, "speed_up": 1.25, "compute_fraction": 0.5, "ideal": 1.5,
        "of_ideal": 0.95, "replayed_steps": 20, "peak_bytes": 3_000_000_000,
        "reserved_bytes": 4_000_000_000,
    }  # fmt: skip
    return Speed(**{**known, **changes})


def test_a_page_names_the_device_and_shows_each_figure() -> None:
    page = markdown(MADE, [a_speed()], ["a note"])

    assert "a GPU, bfloat16; torch 9." in page
    assert "## sd15, 512×512, 20 steps, batch 4" in page
    assert (
        "| here, uncached | 3 | 100.00 | 2.000 | 2 | 1.25× | 0.50 | 1.50× | 0.95 | 20/20 | 3.00 |"
        in page
    )
    assert page.endswith("\n- a note\n")


def test_what_a_device_does_not_tell_is_a_dash_or_nothing() -> None:
    unknown = a_speed(replayed_steps=None, peak_bytes=None, reserved_bytes=None)
    (row,) = csv.DictReader(comma_separated([unknown]).splitlines())

    assert "| – | – |" in markdown(MADE, [unknown], [])
    assert (row["replayed_steps"], row["peak_bytes"]) == ("", "")
