"""A calibration that is interrupted, and goes on."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from schedules.cost import CostModel
from workers import calibrating, calibration
from workers.calibrating import calibrate_into
from workers.calibration import Calibration, calibrate
from workers.calibration_files import dependencies, load_book
from workers.calibration_settings import CalibrationSettings
from workers.partial import PartialFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workers.pipeline import Model

SETTINGS = CalibrationSettings(
    16,
    16,
    3.0,
    prompts=("a red apple", "a green pear"),
    seeds=1,
    steps=(2, 3),
    solvers=("ddim",),
    deltas=(0.2,),
    batches=(1,),
    screening_pictures=1,
    rounds=1,
)


class Interrupted(Exception):
    """Somebody stopped the calibration."""


class Interrupting:
    """Progress that ends a calibration whenever it gets further than all before."""

    def __init__(self) -> None:
        self._heard: set[tuple[str, int, int]] = set()

    def __call__(self, stage: str, done: int, total: int) -> None:
        told = stage, done, total
        if told not in self._heard:
            self._heard.add(told)
            raise Interrupted


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def whole(models: Callable[[str], Model]) -> Calibration:
    """Return a calibration that nobody interrupted."""
    return calibrate(models("sd1"), SETTINGS, silent)


@pytest.fixture
def costing(whole: Calibration, monkeypatch: pytest.MonkeyPatch) -> Callable[[CostModel], None]:
    """Return what decides the costs that are measured: no clock gives the same ones twice."""

    def decide(costs: CostModel) -> None:
        def measured(*_: Any, on_batch: Callable[[int], None], **__: Any) -> CostModel:
            for batch in SETTINGS.batches:
                on_batch(batch)
            return costs

        monkeypatch.setattr(calibration, "measure_costs", measured)

    decide(whole.costs)
    return decide


@pytest.fixture
def calls(tiny: Model) -> Iterator[list[object]]:
    """Return a list that grows with every call of the UNet."""
    seen: list[object] = []
    handle = tiny.pipe.unet.register_forward_pre_hook(lambda unet, _inputs: seen.append(unet))
    yield seen
    handle.remove()


def reopened(tiny: Model, folder: Path) -> PartialFolder:
    return PartialFolder.opened(folder, dependencies(tiny, SETTINGS))


@pytest.mark.usefixtures("costing")
def test_interrupted_after_every_part_it_finds_what_it_finds_uninterrupted(
    tiny: Model, whole: Calibration, tmp_path: Path
) -> None:
    progress, attempts, found = Interrupting(), 0, None
    while found is None:
        attempts += 1
        try:
            found = calibrate(tiny, SETTINGS, progress, reopened(tiny, tmp_path / "partial"))
        except Interrupted:
            continue

    assert found == whole
    assert attempts > 10


def test_what_is_finished_is_not_made_again_whatever_the_costs_are_now(
    tiny: Model,
    whole: Calibration,
    costing: Callable[[CostModel], None],
    calls: list[object],
    tmp_path: Path,
) -> None:
    calibrate(tiny, SETTINGS, silent, reopened(tiny, tmp_path / "partial"))
    made = len(calls)
    costing(slower_at_the_end(whole.costs))
    calibrate(tiny, SETTINGS, silent, reopened(tiny, tmp_path / "partial"))

    assert made > 0
    assert len(calls) == made


@pytest.mark.usefixtures("costing")
def test_the_command_goes_on_and_leaves_only_its_results(
    tiny: Model, whole: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    console = Console(file=written, width=1000)
    with monkeypatch.context() as patched:
        patched.setattr(calibrating, "Bars", lambda _progress: stopped_at("influence"))
        with pytest.raises(KeyboardInterrupt):
            calibrate_into(tmp_path, tiny, SETTINGS, console)
    calibrate_into(tmp_path, tiny, SETTINGS, console)

    assert "the same command goes on from here" in written.getvalue()
    assert "finished parts: 7" in written.getvalue()
    assert load_book(tmp_path, 16, 16).plans == whole.book.plans
    assert not list(tmp_path.glob("partial*"))


def stopped_at(where: str) -> Callable[[str, int, int], None]:
    def progress(stage: str, _done: int, _total: int) -> None:
        if stage == where:
            raise KeyboardInterrupt

    return progress


def slower_at_the_end(costs: CostModel) -> CostModel:
    """Return costs under which other plans are the best."""
    return CostModel(
        tuple(
            (batch, replace(of, unit_ms=tuple(ms * (1 + u) for u, ms in enumerate(of.unit_ms))))
            for batch, of in costs.by_batch
        )
    )
