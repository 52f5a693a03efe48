from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from schedules.rules import uniform
from tests.adapters import adapt
from tests.graph_runs import learn
from tests.recorder import Recorder
from tests.rendering import a_frame, by_diffusers, is_untouched, latents_of, some_prompts
from tests.tiny_models import TINY, load_tiny
from tests.unet_calls import reusing, updates
from workers.graphs import Graphs
from workers.shapes import bare_model

if TYPE_CHECKING:
    from pathlib import Path

    from workers.pipeline import Model

UNIT = "down.0.attn.0"


@pytest.fixture
def adapted(tmp_path: Path) -> Model:
    """Return a model that an adapter was put on after its units were found."""
    model = load_tiny("sd2", tmp_path)
    adapt(model.pipe.unet)
    return model


def test_an_adapter_loaded_later_is_in_what_is_reused() -> None:
    model = bare_model("adapted", TINY["sd2"]().unet.eval())
    adapt(model.pipe.unet)
    (first, second), _ = updates(model, UNIT, reusing(model, UNIT))

    torch.testing.assert_close(second, first, atol=1e-5, rtol=1e-5)


def test_with_an_adapter_loaded_later_all_compute_is_still_the_plain_pipeline(
    adapted: Model,
) -> None:
    frame, (prompt,) = a_frame(adapted), some_prompts(7)
    latents, _ = latents_of(adapted, frame, [prompt])

    assert torch.equal(latents, by_diffusers(adapted, frame, prompt)[0])


def test_no_hook_stays_on_an_adapter(adapted: Model) -> None:
    latents_of(adapted, a_frame(adapted, uniform(4, adapted.units.graph, 2)), some_prompts())

    assert is_untouched(adapted.pipe.unet)


def test_what_was_recorded_before_an_adapter_came_is_not_replayed(tmp_path: Path) -> None:
    model = load_tiny("sd2", tmp_path)
    graphs, frame = Graphs(Recorder(model.pipe.unet)), a_frame(model)
    learn(model, frame, graphs)
    adapt(model.pipe.unet)
    latents, _ = latents_of(model, frame, some_prompts(2), graphs=graphs)

    assert graphs.replays == 0
    assert torch.equal(latents, latents_of(model, frame, some_prompts(2))[0])
