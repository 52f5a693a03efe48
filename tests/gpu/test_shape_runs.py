"""What must hold on a GPU where methods are compared on random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.tiny_models import SHAPES
from workers import shapes
from workers.evaluating.peers import plain
from workers.evaluating.shape_cases import Case
from workers.evaluating.shape_runs import Contest, Outfit

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(params=SHAPES)
def contest(request: pytest.FixtureRequest) -> Iterator[Contest]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(shapes.SHAPES, request.param, SHAPES[request.param])
        yield Contest(Outfit.of(request.param), Case(request.param, 6, 2))


def test_every_method_runs_in_bfloat16_and_its_memory_is_told(contest: Contest) -> None:
    contest.warm_up()
    contest.run_round()
    (runs,) = contest.rounds

    assert contest.notes == ()
    assert contest.subject.noise.dtype == torch.bfloat16
    assert all(run.ms > 0 and (run.memory.peak_bytes or 0) > 0 for run in runs)


def test_no_step_of_diffusers_loop_is_replayed(contest: Contest) -> None:
    contest.warm_up()
    contest.run_round()
    (runs,) = contest.rounds
    peers = [r for e, r in zip(contest.entrants, runs, strict=True) if e.method.enable is plain]

    assert {run.replayed for run in peers} <= {None, 0}
