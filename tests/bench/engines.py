"""What stands behind the servers: a model, a stub that takes a model's time, or nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from schedules.book import PlanBook
from schedules.cost import CostModel, StageCosts
from tests import bundled
from tests.bench.work import MOST_AT_ONCE, STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping

GUIDANCE_SCALE = 3.0
# The stub is the bundled model as calibration measured it, this many times as fast: a machine with
# time to spare beside it. Nothing else about its costs is made up.
FASTER = {"timed": 6.0, "nothing": 6000.0}
ENGINES = ("timed", "model", "nothing")


@dataclass(frozen=True, slots=True)
class Engine:
    """One of ENGINES; a model is the bundled one or a folder with a plan book."""

    name: str
    model: str = bundled.NAME

    def for_peers(self) -> Mapping[str, str]:
        """Return the environment by which a peer does this work."""
        if self.name == "nothing":
            return {}
        if self.name == "timed":
            return {"BENCH_MS": ",".join(f"{ms:.1f}" for ms in uncached_ms("timed"))}
        return {"BENCH_MODEL": str(folder_of(self.model)), "BENCH_GUIDANCE": str(GUIDANCE_SCALE)}


def folder_of(model: str) -> Path:
    """Return where a model lies."""
    return bundled.FOLDER if model == bundled.NAME else Path(model).absolute()


@cache
def book_of(model: str) -> PlanBook:
    """Return a model's plan book, of its smallest size."""
    path, *_ = sorted((folder_of(model) / "blockcache").glob("book-*.json"))
    return PlanBook.from_dict(json.loads(path.read_text("utf-8")))


def book() -> PlanBook:
    """Return the bundled model's plan book."""
    return book_of(bundled.NAME)


def costs(engine: str) -> CostModel:
    """Return what a stub's stages take."""
    measured = bundled.costs()
    by_batch = ((size, _shorter(stage, FASTER[engine])) for size, stage in measured.by_batch)
    return replace(measured, by_batch=tuple(by_batch))


def uncached_ms(engine: str) -> list[float]:
    """Return what 1, 2, … pictures at once take of a stub in the peers' 20 uncached steps."""
    model, runs = costs(engine), [STEPS] * len(book().graph)
    return [model.total_ms(STEPS, runs, batch) for batch in range(1, MOST_AT_ONCE + 1)]


def peers_quality() -> float:
    """Return how good the peers' pictures are at most: as the best plan of so many steps."""
    return max(plan.quality.value for plan in book().plans if plan.steps <= STEPS)


def _shorter(stage: StageCosts, times: float) -> StageCosts:
    return StageCosts(
        encode_ms=stage.encode_ms / times,
        start_ms=stage.start_ms / times,
        fixed_ms=stage.fixed_ms / times,
        unit_ms=tuple(ms / times for ms in stage.unit_ms),
        decode_ms=stage.decode_ms / times,
        png_ms=stage.png_ms / times,
    )
