from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.rendering import is_untouched
from tests.tiny_books import book_for
from workers.commands import evaluate
from workers.errors import CalibrationError, UnknownSolver
from workers.evaluating.errors import EvaluationError
from workers.evaluating.options import (
    HELD_OUT,
    AllOptions,
    FrontierOptions,
    Options,
    TableOptions,
    held_out_prompts,
)
from workers.evaluating.running import run_all, run_frontier, run_table
from workers.evaluating.session import Session, Setting
from workers.sampler import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workers.pipeline import Model

SMALL: dict[str, Any] = {"most_prompts": 2, "solvers": ("ddim",), "steps": (4,), "rounds": 1}


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "table.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def results(models: Callable[[str], Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small table with real pictures beside."""
    out = tmp_path_factory.mktemp("results")
    data = tmp_path_factory.mktemp("data")
    for k, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)):
        Image.fromarray(pixels).save(data / f"{k}.png")
    source = str(models("sd1").folder)
    run_table(TableOptions(model=source, out=out, data=data, calibration_pictures=2, **SMALL))
    return out


def test_a_table_comes_with_its_figures_and_pictures(results: Path) -> None:
    assert {path.name for path in results.iterdir()} == {
        "table.md", "table.csv", "results.json", "frontier.png", "grid.png",
    }  # fmt: skip
    assert (results / "table.md").read_text().count("\n| ") > 8


def test_a_table_ends_with_verdicts(results: Path) -> None:
    judged = json.loads((results / "results.json").read_text())["verdicts"]
    asked = " ".join(verdict["asked"] for verdict in judged)

    assert "above the paper's rule in the same time" in asked
    assert "closer than fewer steps in at least 3 of 4 runs" in asked
    assert "no slower than PAB" in asked
    assert "searched made in ≤ 10 s" in asked
    assert "| about | asked | found | kept |" in (results / "table.md").read_text()


def test_the_uncached_run_is_identical_to_itself_by_either_loop(results: Path) -> None:
    rows = rows_of(results)
    uncached = [row for row in rows if row["group"] == "uncached"]

    assert [row["method"] for row in uncached] == ["uncached", "uncached, diffusers' loop"]
    assert {float(row["to_uncached.psnr_db"]) for row in uncached} == {100.0}
    assert float(uncached[0]["speed_up"]) == 1.0
    assert all(row["to_data"] for row in rows)


def test_results_say_what_made_them(tiny: Model, results: Path) -> None:
    data = json.loads((results / "results.json").read_text())

    assert data["made"]["revision"] == tiny.revision
    assert data["settings"]["steps"] == [4]
    assert data["rows"][0]["to_uncached"]["psnr_db"] == 100.0
    assert any("2 pictures, 16×16" in note for note in data["notes"])
    assert is_untouched(tiny.pipe.unet)


def test_a_frontier_shows_plans_and_fewer_steps_at_ten_times(tiny: Model, tmp_path: Path) -> None:
    (tmp_path / "book-16x16.json").write_text(json.dumps(book_for(tiny, 4).to_dict()))
    source, out = str(tiny.folder), tmp_path / "out"
    small = FrontierOptions(model=source, out=out, plans=tmp_path, most_prompts=2, most_steps=4)
    run_frontier(small)
    points = json.loads((out / "frontier.json").read_text())["points"]

    assert len(points) == 10
    assert all(point["plan"]["ms"] <= point["ms"] * 1.01 for point in points)
    assert points[-1]["fewer"]["name"] == "4 steps"
    assert (out / "bought.png").is_file()
    assert "| plan |" in (out / "frontier.md").read_text()
    assert len(json.loads((out / "frontier.json").read_text())["verdicts"]) == 2
    assert not (out / "partial").exists()


def test_a_frontier_needs_a_plan_book_before_anything_is_made(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="no plan book"):
        run_frontier(FrontierOptions(model=str(tiny.folder), out=tmp_path, plans=tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_held_out_prompts_are_48_that_calibration_has_not_seen() -> None:
    assert len(set(held_out_prompts(None))) == 48
    assert held_out_prompts(HELD_OUT) == held_out_prompts(None)


def test_prompts_that_calibration_has_seen_are_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a zebra\nred apple\n")

    with pytest.raises(EvaluationError, match="has seen these prompts: red apple"):
        held_out_prompts(tmp_path / "prompts.txt")


def test_every_picture_starts_from_noise_of_its_own(tiny: Model, tmp_path: Path) -> None:
    options = Options(model="tiny", out=tmp_path, most_prompts=3, seeds=2)
    requests = options.setting(tiny).requests

    assert len({prompt.seed for prompt in requests}) == 6
    assert len({prompt.text for prompt in requests}) == 3


def test_one_picture_is_too_few(tiny: Model) -> None:
    with pytest.raises(EvaluationError, match="at least two pictures"):
        Session(tiny, Setting(16, 16, 3.0, (Prompt("fox", None, 1),)), lambda *_: None)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"solvers": ("none",)}, UnknownSolver, "no solver is called 'none'"),
        ({"steps": (1,)}, EvaluationError, "step counts of 2 or more"),
        ({"steps": ()}, EvaluationError, "step counts of 2 or more"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(
    tiny: Model, tmp_path: Path, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    options = TableOptions(model="tiny", out=tmp_path, **changes)  # type: ignore[arg-type]

    with pytest.raises(error, match=words):
        options.require(tiny)


def test_options_of_the_command_reach_the_table(tiny: Model, tmp_path: Path) -> None:
    arguments = ["--model", str(tiny.folder), "--out", str(tmp_path), "--size", "16x16"]
    done = CliRunner().invoke(evaluate, ["table", *arguments, "--steps", "1"])

    assert isinstance(done.exception, EvaluationError)


@pytest.mark.parametrize(("option", "text"), [("--steps", "a,b"), ("--speed-ups", "fast")])
def test_a_list_that_is_none_is_refused(option: str, text: str, tmp_path: Path) -> None:
    arguments = ["table", "--model", "emoji", "--out", str(tmp_path), option, text]
    done = CliRunner().invoke(evaluate, arguments)

    assert done.exit_code == 2
    assert f"'{text}' is not such a list" in done.output


def test_all_of_it_is_judged_on_one_page(tiny: Model, tmp_path: Path) -> None:
    (tmp_path / "book-16x16.json").write_text(json.dumps(book_for(tiny, 4).to_dict()))
    source, out = str(tiny.folder), tmp_path / "out"
    small = {**SMALL, "most_steps": 4, "calibration_pictures": 1, "speed_ups": (1.5,)}
    run_all(AllOptions(model=source, out=out, plans=tmp_path, **small))
    about = {v["about"] for v in json.loads((out / "verdicts.json").read_text())["verdicts"]}

    assert {"plan book", "all runs", "ddim, 4 steps"} < about
    assert any("computed" in one for one in about)
    assert (out / "verdicts.md").read_text().count("\n| ") > 10


@pytest.mark.parametrize("command", ["table", "frontier", "speed-ups", "all"])
def test_help_shows_an_example(command: str) -> None:
    done = CliRunner().invoke(evaluate, [command, "--help"])

    assert done.exit_code == 0
    assert f"blockcache evaluate {command} --model" in done.output
