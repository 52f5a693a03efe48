"""The benchmarks run to the end, without peers and without a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from app.open_loop import Sent
from tests.bench import overload as busy
from tests.bench import saturation as full
from tests.bench.__main__ import main
from tests.bench.overhead import times
from tests.bench.reports import Report

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str | Path) -> None:
    done = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.mark.timeout(600)
def test_overload_of_a_stub_tells_what_became_of_each_rate(tmp_path: Path) -> None:
    few = ("--engines", "timed", "--rates", "0.5,2", "--timed-seconds", "1")
    run("overload", "--peers", "", "--out", tmp_path, *few)
    found = json.loads((tmp_path / "overload.json").read_text())["engines"]["timed"]
    rates = found["servers"]["blockcache"]
    assert rates["0.5"]["requests"] > 0
    assert rates["2"]["offered_per_s"] == 2 * found["capacity"]["images_per_s"]
    assert (tmp_path / "overload.md").read_text().count("| timed | blockcache |") == 2


@pytest.mark.timeout(600)
def test_overhead_tells_what_an_answer_costs(tmp_path: Path) -> None:
    few = ("--seconds", "0.5", "--warm-seconds", "0.1")
    run("overhead", "--peers", "", "--out", tmp_path, *few)
    found = json.loads((tmp_path / "overhead.json").read_text())["servers"]
    assert set(found) == {"bare engine", "blockcache"}
    assert all(found["blockcache"][callers]["cpu_ms"] > 0 for callers in ("1", "16"))


def test_shares_are_told_by_budget() -> None:
    capacity = busy.Capacity(images_per_s=5.0, uncached_ms=100.0)
    sent = [Sent(0.1, 100.0, 120.0, quality=0.9), Sent(0.2, 250.0, 120.0, quality=0.9)]
    by_budget = busy.report(sent, capacity)["in_time_by_budget"]
    assert by_budget == {"1": 0.0, "2.5": 1.0, "10": None}


def test_percentiles_are_of_all_answers() -> None:
    found = times([4.0, 1.0, 2.0, 3.0, 100.0], seconds=2.0)
    assert found == {"per_s": 2.5, "p50_ms": 3.0, "p99_ms": 100.0}


def test_the_best_offline_batch_is_best_over_all_runs() -> None:
    runs = [{"1": 1.0, "4": 2.0}, {"1": 3.0, "4": 2.5}]
    assert full.best_of(runs) == ("4", 2.25)


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path, settings = tmp_path / "r.json", {"seconds": 1.0}

    def opened() -> Report:
        return Report.opened(path, ["name"], lambda _: [["x"]], settings, resume=True)

    first = opened()
    first.part("servers", "x")["1"] = 7
    first.write()
    assert opened().part("servers", "x") == {"1": 7}
    assert path.with_suffix(".md").read_text() == "| name |\n| --- |\n| x |\n"
