from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.book import Plan, PlanBook, Quality
from schedules.candidates import (
    MOST_CALLS,
    RESTS,
    Candidate,
    candidates,
    closer_than_uncached,
    hopeful,
    optimal,
    promising,
    resting,
    undominated,
)
from schedules.change import ChangeProfile
from schedules.cost import StageCosts
from schedules.influence import Influence
from schedules.rules import all_compute, uniform
from schedules.schedule import Schedule
from tests.builders import METRIC, a_graph, a_unet_graph, costs
from tests.strategies import books, cost_models

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schedules.units import UnitGraph


def a_profile(steps: int = 6, change: float = 0.25) -> ChangeProfile:
    changes = ((change,) * (steps - 1),) * len(a_unet_graph())
    return ChangeProfile(changes, changes, samples=1)


def a_plan(quality: float, steps: int) -> Plan:
    graph = a_graph()
    name = f"{quality:g}"
    return Plan.of("ddim", name, all_compute(steps, graph), graph, Quality(METRIC, quality))


def test_every_table_is_tried_once() -> None:
    found = candidates(a_profile(), a_unet_graph())

    assert len({candidate.schedule for candidate in found}) == len(found)


def test_every_kind_of_rule_is_tried() -> None:
    found = candidates(a_profile(change=0.04), a_unet_graph(), deltas=(0.1,))

    kinds = {candidate.rule.split("-")[0] for candidate in found}
    assert kinds == {"uncached", "accumulate", "uniform", "deepcache"}


def test_the_plain_name_wins_where_rules_agree() -> None:
    found = candidates(a_profile(change=5.0), a_unet_graph(), deltas=(0.1,))

    assert found[0].rule == "uncached"
    assert not any(candidate.rule.startswith("accumulate") for candidate in found)


def test_schedules_from_elsewhere_are_tried_too() -> None:
    graph = a_unet_graph()
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(len(graph), 6, 3, 4)).astype(np.float32)
    stages = StageCosts(1.0, 0.0, 1.0, (2.0,) * len(graph), 1.0, 1.0)
    further = optimal(Influence(effects), graph, stages)

    found = candidates(a_profile(), graph, (0.1,), further)

    assert any(candidate.rule.startswith("optimal-") for candidate in found)


def test_a_slower_and_poorer_plan_is_dropped() -> None:
    good, poor = a_plan(0.9, 4), a_plan(0.8, 8)

    assert undominated([poor, good], costs()) == (good,)


def cached(steps: int) -> Plan:
    """Return a plan that nobody judged yet, a little quicker than the uncached run of its steps."""
    graph = a_graph()
    return Plan.of("ddim", "searched", uniform(steps, graph, 2), graph, Quality(METRIC, 0.0))


def test_a_plan_is_promising_whose_uncached_run_is_better_than_all_that_is_as_quick() -> None:
    judged = [a_plan(0.8, 4), a_plan(0.9, 8)]

    assert promising([cached(4), cached(8)], judged, costs()) == (cached(4), cached(8))


def test_nothing_is_promised_by_steps_that_fewer_steps_beat() -> None:
    judged = [a_plan(0.8, 4), a_plan(0.79, 8)]

    assert promising([cached(8)], judged, costs()) == ()


def measured(plan: Plan, **figures: float) -> Plan:
    return replace(plan, measured=figures)


@pytest.mark.parametrize(
    ("psnr_db", "similarity", "kept"),
    [(21.0, 0.9, True), (19.0, 0.9, False), (21.0, 0.7, False), (20.0, 0.8, False)],
)
def test_a_cached_plan_leads_the_uncached_run_of_its_time_in_every_figure(
    psnr_db: float, similarity: float, *, kept: bool
) -> None:
    uncached = measured(a_plan(0.8, 4), psnr_db=20.0, similarity=0.8)
    slower = measured(cached(8), psnr_db=psnr_db, similarity=similarity)

    found = closer_than_uncached([uncached, slower], costs())

    assert found == ((uncached, slower) if kept else (uncached,))


def test_an_uncached_run_that_takes_longer_tells_nothing_of_a_cached_plan() -> None:
    quick, uncached = measured(cached(4), psnr_db=19.0), measured(a_plan(0.8, 4), psnr_db=20.0)

    assert closer_than_uncached([quick, uncached], costs()) == (quick, uncached)


def test_plans_that_trade_time_for_quality_are_all_kept() -> None:
    fast, slow = a_plan(0.8, 4), a_plan(0.9, 8)

    assert undominated([slow, fast], costs()) == (fast, slow)


@pytest.mark.parametrize(("slack", "kept"), [(0.0, 1), (0.05, 2)])
def test_quality_slack_keeps_what_is_nearly_as_good(slack: float, kept: int) -> None:
    plans = [a_plan(0.90, 4), a_plan(0.88, 5)]

    assert len(undominated(plans, costs(), quality_slack=slack)) == kept


@pytest.mark.parametrize(("slack", "kept"), [(0.0, 1), (0.3, 2)])
def test_time_slack_keeps_what_is_nearly_as_fast(slack: float, kept: int) -> None:
    plans = [a_plan(0.9, 4), a_plan(0.8, 5)]

    assert len(undominated(plans, costs(), time_slack=slack)) == kept


@given(st.data())
def test_without_slack_what_is_kept_is_the_frontier_in_time_and_quality(
    data: st.DataObject,
) -> None:
    book: PlanBook = data.draw(books())
    model = data.draw(cost_models(len(book.graph)))
    kept = undominated(book.plans, model)

    points = {(p.quality.value, model.total_ms(p.steps, p.unit_runs)) for p in kept}
    best = book.frontier(model)
    assert points == {(p.quality.value, model.total_ms(p.steps, p.unit_runs)) for p in best}


def test_a_candidate_far_worse_than_a_cheaper_one_is_not_worth_a_picture() -> None:
    graph = a_unet_graph()
    effects = np.full((len(graph), 6, 5, 1), 0.1, np.float32)
    effects[graph.index("up.1.resnet.0")] = 5.0
    cheap = Candidate("good", _without(graph, 1, range(2, 6)))
    poor = Candidate("poor", _without(graph, graph.index("up.1.resnet.0"), range(4, 6)))
    whole = Candidate("uncached", all_compute(6, graph))

    kept = hopeful((poor, whole, cheap), Influence(effects), graph, _stage(graph))

    assert [candidate.rule for candidate in kept] == ["good", "uncached"]


def _without(graph: UnitGraph, unit: int, steps: Iterable[int]) -> Schedule:
    return Schedule.of([u != unit or s not in steps for u in range(len(graph))] for s in range(6))


def _stage(graph: UnitGraph) -> StageCosts:
    return StageCosts(1.0, 0.0, 1.0, (1.0,) * len(graph), 1.0, 1.0)


def test_plans_with_steps_of_rest_compute_what_the_plans_without_do() -> None:
    plan = a_plan(0.9, 8)

    found = resting([plan], a_graph())

    assert len(found) == len(RESTS)
    assert {rested.unit_runs for rested in found} == {plan.unit_runs}
    assert all(rested.steps > plan.steps for rested in found)


def test_steps_of_rest_show_in_the_name_of_a_plan() -> None:
    plan = a_plan(0.9, 8)

    assert len({plan.name, *(rested.name for rested in resting([plan], a_graph()))}) == (
        1 + len(RESTS)
    )


def test_long_plans_need_no_rest() -> None:
    assert not resting([a_plan(0.9, MOST_CALLS + 1)], a_graph())


def test_a_single_step_has_no_rest() -> None:
    assert not resting([a_plan(0.9, 1)], a_graph())
