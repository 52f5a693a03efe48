from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from schedules.rules import deepcache
from tests.rendering import is_untouched
from tests.tiny_models import SHAPES
from workers.evaluating.aiming import predicted_speed_up
from workers.evaluating.methods import Method
from workers.evaluating.peers import PEERS, plain
from workers.evaluating.shape_cases import Case
from workers.evaluating.shape_runs import DIFFUSERS, HERE, Contest, Entrant, Outfit, plan_for

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("small_shapes")
STEPS = 8


@pytest.fixture(scope="module", params=SHAPES)
def outfit(request: pytest.FixtureRequest, small_shapes: None) -> Outfit:
    return Outfit.of(request.param)


@pytest.fixture
def contest(outfit: Outfit) -> Contest:
    return Contest(outfit, Case(outfit.model.name, STEPS, 2))


@pytest.fixture(scope="module")
def small() -> Outfit:
    return Outfit.of("small")


def latents_of(outfit: Outfit, contest: Contest, enable: Callable[..., Any] | None) -> torch.Tensor:
    return outfit.taken(Method("", "", contest.frame, enable), contest.subject).latents


def test_a_bare_unet_makes_the_same_in_diffusers_loop_and_here(
    outfit: Outfit, contest: Contest
) -> None:
    here, there = (latents_of(outfit, contest, enable) for enable in (None, plain))

    assert here.shape[0] == 2
    assert torch.isfinite(here).all()
    assert torch.equal(here, there)


def test_every_method_runs_in_every_round_and_leaves_the_unet_as_it_was(
    outfit: Outfit, contest: Contest
) -> None:
    contest.warm_up()
    contest.run_round()
    contest.run_round()

    assert contest.notes == ()
    assert [len(runs) for runs in contest.rounds] == [len(contest.entrants)] * 2
    assert all(run.ms > 0 for runs in contest.rounds for run in runs)
    assert is_untouched(outfit.model.pipe.unet)


def test_both_loops_start_with_their_uncached_run(contest: Contest) -> None:
    for loop in (DIFFUSERS, HERE):
        first = next(one for one in contest.entrants if one.method.group == loop)
        assert all(map(all, first.schedule.computes))


def test_deepcache_s_work_is_done_here_too(contest: Contest, outfit: Outfit) -> None:
    same = deepcache(STEPS, outfit.model.units.graph, 3)
    loops = [one.method.group for one in contest.entrants if one.schedule == same]
    (peer,) = (peer for peer in PEERS if peer.interval == 3)

    assert loops == ([DIFFUSERS, HERE] if peer.is_installed else [HERE])


def test_the_plan_is_the_rule_s_closest_to_the_speed_up_wanted(contest: Contest) -> None:
    plan = contest.entrants[-1].schedule
    reached = predicted_speed_up(plan, contest.costs)

    assert 1.4 < reached < 2.3
    assert {sum(row) == plan.units for row in plan.computes} == {True, False}


def test_costs_of_a_batch_are_measured_once(small: Outfit) -> None:
    first, second = (Contest(small, Case("small", steps, 1)) for steps in (6, 8))

    assert first.costs is second.costs
    assert second.expected_s > first.expected_s
    assert plan_for(8, small.model.units.graph, first.costs) == second.entrants[-1].schedule


def test_a_peer_that_does_not_run_is_left_out_with_its_reason(small: Outfit) -> None:
    def broken(_pipe: Any) -> Any:
        raise KeyError("attn")

    contest = Contest(small, Case("small", 4, 1))
    wrong = Method("broken", DIFFUSERS, contest.frame, broken)
    contest.entrants.append(Entrant(wrong, contest.frame.schedule))
    contest.warm_up()

    assert contest.notes == ("broken does not run on this model: KeyError('attn')",)
    assert wrong not in [one.method for one in contest.entrants]


def test_a_warm_up_takes_the_first_steps_of_a_schedule(contest: Contest) -> None:
    entrant = contest.entrants[-1]
    short = entrant.shortened(3).frame.schedule

    assert short.computes == entrant.schedule.computes[:3]
    assert entrant.shortened(3) == replace(
        entrant.method, frame=replace(entrant.method.frame, schedule=short)
    )


def test_nothing_is_replayed_and_no_memory_told_without_a_gpu(contest: Contest) -> None:
    contest.run_round()
    (runs,) = contest.rounds

    assert {(run.replayed, run.memory.peak_bytes) for run in runs} == {(None, None)}
