from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from schedules.rules import uniform
from tests.rendering import a_frame, is_untouched, latents_of, some_prompts
from workers.evaluating.errors import EvaluationError
from workers.evaluating.methods import Method, Subject, restored, take
from workers.evaluating.peers import plain
from workers.evaluating.timing import Stopwatch
from workers.sampler import denoise

if TYPE_CHECKING:
    from workers.pipeline import Model


def a_subject(model: Model) -> Subject:
    return Subject.of(model, some_prompts(7)[0], a_frame(model))


@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_the_pipeline_uncached_gives_bit_for_bit_what_the_sampler_gives(
    model: Model, solver: str, guidance: float
) -> None:
    frame = a_frame(model, 3, solver=solver, guidance=guidance)
    subject = Subject.of(model, some_prompts(7)[0], frame)
    here = take(model, Method("uncached", "uncached", frame), subject)
    there = take(model, Method("pipeline", "uncached", frame, plain), subject)

    assert torch.equal(here.latents, there.latents)


def test_a_method_without_a_peer_follows_its_schedule(tiny: Model) -> None:
    frame = a_frame(tiny, uniform(4, tiny.units.graph, 2))
    taken = take(tiny, Method("every other", "own", frame), a_subject(tiny))

    assert torch.equal(taken.latents, latents_of(tiny, frame, some_prompts(7))[0])


def test_times_grow_with_every_step(tiny: Model) -> None:
    for enable in (None, plain):
        method = Method("uncached", "uncached", a_frame(tiny, 4), enable)
        elapsed = take(tiny, method, a_subject(tiny)).elapsed_ms

        assert len(elapsed) == 4
        assert 0 < elapsed[0] < elapsed[1] < elapsed[2] < elapsed[3]


def test_the_clock_starts_with_the_first_call_of_the_unet(tiny: Model) -> None:
    def slow(pipe: Any) -> Any:
        torch.linalg.svd(torch.randn(600, 600))
        return pipe

    frame, subject = a_frame(tiny, 1), a_subject(tiny)
    quick = min(take(tiny, Method("", "", frame, plain), subject).ms for _ in range(3))

    assert take(tiny, Method("", "", frame, slow), subject).ms < 20 * quick


def test_a_whole_loop_is_timed_from_its_call_on_with_no_hook_on_the_unet(tiny: Model) -> None:
    spent_ms, hooks = [], []

    def slow(model: Model, *args: Any) -> Any:
        hooks.extend(model.pipe.unet._forward_pre_hooks)
        start = time.perf_counter()
        torch.linalg.svd(torch.randn(200, 200))
        spent_ms.append((time.perf_counter() - start) * 1e3)
        return denoise(model, *args)

    method = Method("", "", a_frame(tiny, 2))
    taken = take(tiny, method, a_subject(tiny), whole=True, sampler=slow)

    assert hooks == []
    assert len(taken.elapsed_ms) == 2
    assert taken.elapsed_ms[0] > spent_ms[0]


@pytest.fixture
def unwatched(tiny: Model) -> Model:
    """Return the same model in a pipeline of the old kind, which calls nobody back."""

    class Old(type(tiny.pipe)):  # type: ignore[misc]
        def __call__(self, prompt: str) -> None: ...

    pipe = copy.copy(tiny.pipe)
    pipe.__class__ = Old
    return replace(tiny, pipe=pipe)


def test_a_pipeline_that_cannot_be_watched_is_replaced_by_a_bare_loop(unwatched: Model) -> None:
    frame, subject = a_frame(unwatched, 3), a_subject(unwatched)
    here = take(unwatched, Method("uncached", "uncached", frame), subject)
    there = take(unwatched, Method("pipeline", "uncached", frame, plain), subject)

    assert torch.equal(here.latents, there.latents)


def test_a_peer_with_a_loop_of_its_own_needs_a_pipeline_that_can_be_watched(
    unwatched: Model,
) -> None:
    method = Method("gate", "peer", a_frame(unwatched, 3), lambda _pipe: print)

    with pytest.raises(EvaluationError, match="replaces the loop of a Old"):
        take(unwatched, method, a_subject(unwatched))


def test_the_model_keeps_its_own_scheduler(tiny: Model) -> None:
    before = tiny.pipe.scheduler
    frame = a_frame(tiny, 2, solver="dpmpp_2m")
    take(tiny, Method("pipeline", "uncached", frame, plain), a_subject(tiny))

    assert tiny.pipe.scheduler is before
    assert is_untouched(tiny.pipe.unet)


def test_whatever_is_done_to_modules_is_undone_even_after_a_failure(tiny: Model) -> None:
    unet = tiny.pipe.unet

    def spoil() -> None:
        with restored(unet):
            unet.forward = print
            unet.mid_block.resnets[0].cache = torch.zeros(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spoil()
    assert is_untouched(unet)
    assert not hasattr(unet.mid_block.resnets[0], "cache")


def test_a_stopwatch_leaves_no_hook(tiny: Model) -> None:
    unet = tiny.pipe.unet
    with Stopwatch(tiny.device).watching(unet):
        assert unet._forward_pre_hooks

    assert not unet._forward_pre_hooks
