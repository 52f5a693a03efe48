from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.tiny_books import book_for, costs_for
from workers.commands import calibrate, evaluate, show, worker
from workers.errors import CalibrationError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    import click
    from click.testing import Result

    from workers.pipeline import Model


def ran(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


@pytest.mark.parametrize("command", [calibrate, worker, show], ids=lambda c: c.name)
def test_help_shows_an_example_of_the_command(command: click.Command) -> None:
    done = ran(command, "--help")

    assert done.exit_code == 0
    assert f"blockcache {command.name} --model" in done.output


@pytest.mark.parametrize("size", ["banana", "512", "512x", "1x2x3"])
def test_a_size_that_is_none_is_refused_by_showing_one(size: str) -> None:
    for command, options in ((calibrate, ()), (show, ()), (worker, ("--store-url", "redis://x"))):
        done = ran(command, "--model", "emoji", "--size", size, *options)

        assert done.exit_code == 2
        assert f"'{size}' is not a size like 512x512" in done.output


@pytest.mark.parametrize("arguments", [(), ("--model", "emoji", "--shape", "sd15")])
def test_evaluate_wants_either_a_model_or_a_shape(arguments: tuple[str, ...]) -> None:
    done = ran(evaluate, "speed-ups", *arguments)

    assert done.exit_code == 2
    assert "either a --model or a --shape" in done.output


def test_an_unknown_shape_is_refused_by_naming_the_known_ones() -> None:
    done = ran(evaluate, "speed-ups", "--shape", "sd99")

    assert isinstance(done.exception, ModelError)
    assert str(done.exception) == "no shape is called 'sd99'; there are sd15, sdxl, emu"


def test_show_draws_the_plan_for_a_budget(tmp_path: Path) -> None:
    done = ran(show, "--budget-ms", "100000", "--out", str(tmp_path))

    assert done.exit_code == 0, done.output
    assert "up.0.upsampler █" in done.output
    assert {path.name for path in tmp_path.iterdir()} >= {"schedule.png", "frontier.png"}


def test_show_draws_feature_maps_of_a_prompt(tmp_path: Path) -> None:
    done = ran(show, "--budget-ms", "400", "--out", str(tmp_path), "--features", "a red apple")

    assert done.exit_code == 0, done.output
    assert (tmp_path / "features.png").is_file()


def test_feature_maps_need_a_place() -> None:
    done = ran(show, "--features", "a red apple")

    assert done.exit_code == 2
    assert "say where with --out" in done.output


def test_show_says_what_the_fastest_plan_needs() -> None:
    done = ran(show, "--budget-ms", "0.001")

    assert isinstance(done.exception, CalibrationError)
    assert "no plan fits into 0.001 ms; the fastest needs" in str(done.exception)


def test_show_asks_for_a_size_where_there_are_several(tiny: Model, tmp_path: Path) -> None:
    for size in ("16x16", "32x32"):
        (tmp_path / f"book-{size}.json").write_text(json.dumps(book_for(tiny).to_dict()))
    done = ran(show, "--plans", str(tmp_path))

    assert isinstance(done.exception, CalibrationError)
    assert "say which size with --size" in str(done.exception)
    assert "16x16, 32x32" in str(done.exception)


def test_show_reads_the_plans_it_is_told_to(tiny: Model, tmp_path: Path) -> None:
    book, costs = book_for(tiny), costs_for(tiny)
    (tmp_path / "book-16x16.json").write_text(json.dumps(book.to_dict()))
    (tmp_path / "costs-16x16.json").write_text(json.dumps(costs.to_dict()))
    done = ran(show, "--plans", str(tmp_path))

    assert done.exit_code == 0, done.output
    assert "ddim-4-uncached" in done.output


def test_evaluate_writes_what_it_measured(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    where = ("--model", str(tiny.folder), "--json", str(path))
    done = ran(evaluate, "speed-ups", *where, "--steps", "4", "--repeats", "1")

    assert done.exit_code == 0, done.output
    data = json.loads(path.read_text())
    assert [round(s["compute_fraction"], 2) for s in data["speed_ups"]] == sorted(
        (round(s["compute_fraction"], 2) for s in data["speed_ups"]), reverse=True
    )
    assert data["made"]["revision"] == tiny.revision
