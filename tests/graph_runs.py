"""Runs whose steps are recorded and replayed, and schedules of many different rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schedules.book import Plan, Quality
from schedules.rules import EVERY_LAYER, all_compute, deepcache, uniform
from schedules.schedule import Schedule
from tests.corrections import a_correction
from tests.recorder import Recorder
from tests.rendering import a_frame, latents_of, some_prompts
from tests.tiny_books import book_for, costs_for
from workers.batch import Desk
from workers.graphs import Graphs
from workers.sampler import Walk, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.pins import Inputs
    from workers.pipeline import Model
    from workers.sampler import Frame

STEPS = 7


def ragged(model: Model) -> Schedule:
    """Return a schedule of many different rows, one of which reuses the whole output."""
    units = len(model.units.graph)
    rows = [[s == 0 or (s != 3 and (u + s) % 3 > 0) for u in range(units)] for s in range(STEPS)]
    return Schedule.of(rows)


RULES: dict[str, Callable[[Model], Schedule]] = {
    "all": lambda model: all_compute(STEPS, model.units.graph),
    "uniform": lambda model: uniform(STEPS, model.units.graph, 2),
    "uniform-all": lambda model: uniform(STEPS, model.units.graph, 3, EVERY_LAYER),
    "deepcache": lambda model: deepcache(STEPS, model.units.graph, 3),
    "ragged": ragged,
}


def distinct_rows(model: Model, schedule: Schedule) -> int:
    """Return how many different rows a schedule has."""
    return len(set(schedule.work(model.units.graph)))


def replayed(model: Model, frame: Frame, graphs: Graphs, *seeds: int) -> Tensor:
    """Return the latents of a run of which every step was replayed."""
    before, steps = graphs.replays, frame.schedule.steps
    latents, counts = latents_of(model, frame, some_prompts(*seeds), graphs=graphs)
    assert graphs.replays == before + steps
    assert counts == frame.schedule.counts(model.units.graph)
    return latents


def inputs_of_a_step(model: Model, frame: Frame, seed: int = 9) -> Inputs:
    """Return what the UNet is called on at the first step."""
    prompts = some_prompts(seed)
    noise = initial_latents(model, prompts, frame)
    return Walk(model, encode(model, prompts, frame), noise, frame).inputs(0)


def learn(model: Model, frame: Frame, graphs: Graphs, *seeds: int) -> None:
    """Record every step of a run."""
    latents_of(model, frame, some_prompts(*seeds), graphs=graphs)
    graphs.capture()


def a_desk(model: Model, kind: str = "closed-form") -> Desk:
    """Return a desk of three plans by different solvers, the last of them corrected.

    The more they compute the better they are, so that none is without use.
    """
    tables = (RULES[name](model) for name in ("uniform", "ragged", "uniform-all"))
    solvers = ("ddim", "dpmpp_2m_p1.2", "dpmpp_2m")
    graph = model.units.graph
    plain = [
        Plan.of(solver, "a rule", table, graph, Quality("psnr_db", table.counts(graph).computed))
        for solver, table in zip(solvers, tables, strict=True)
    ]
    frame = a_frame(model, plain[-1].schedule, solver=plain[-1].solver)
    correction = a_correction(model, frame, kind)
    book = book_for(model).with_plans([*plain[:2], replace(plain[2], correction=correction.id)])
    graphs, known = Graphs(Recorder(model.pipe.unet)), {correction.id: correction}
    return Desk("worker-1", model, book, costs_for(model), known, graphs=graphs)
