from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from schedules.errors import InvalidSchedule
from schedules.rules import EVERY_LAYER, accumulate, all_compute, deepcache, uniform
from schedules.schedule import Schedule, Work
from tests.adapters import adapt
from tests.rendering import a_frame, by_diffusers, is_untouched, latents_of, pixels_of, some_prompts
from tests.tiny_models import TINY, emu_twin
from tests.unet_calls import RESIDUALS, inputs_of, noise, ran, reusing, unpacked, updates
from workers.cached_unet import CacheRun, cached
from workers.errors import Stopped
from workers.profiling import ChangeMeter
from workers.sampler import Prompt
from workers.shapes import bare_model
from workers.solvers import SOLVERS
from workers.units import example_inputs, find_units

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.pipeline import Model


def accumulated(model: Model) -> Schedule:
    meter = ChangeMeter(model.units.graph, steps=4)
    latents_of(model, a_frame(model, 4), some_prompts(), meter.on_step)
    return accumulate(meter.profile(), model.units.graph, delta=0.3)


RULES: dict[str, Callable[[Model], Schedule]] = {
    "uniform": lambda model: uniform(4, model.units.graph, 2),
    "uniform-all": lambda model: uniform(4, model.units.graph, 3, EVERY_LAYER),
    "deepcache-0": lambda model: deepcache(4, model.units.graph, 3, 0),
    "deepcache-1": lambda model: deepcache(4, model.units.graph, 2, 1),
    "accumulate": accumulated,
}
RULED = [
    ("emoji-small", "accumulate"),
    *((n, rule) for n in ("sd1", "sd2", "sdxl") for rule in RULES),
]


@pytest.fixture(scope="module", params=RULED, ids="-".join)
def ruled(request: pytest.FixtureRequest, models: Callable[[str], Model]) -> tuple[Model, Schedule]:
    """Return a model and a schedule that a rule makes for it."""
    name, rule = request.param
    model = models(name)
    return model, RULES[rule](model)


# diffusers' LDM pipeline never scales its latents, so that it cannot use Euler.
EQUAL = [(n, s) for n in ("emoji-small", *TINY) for s in SOLVERS if (n, s) != ("ldm", "euler")]


@pytest.mark.parametrize("guidance", [3.0, 1.0], ids=["guided", "unguided"])
@pytest.mark.parametrize(("name", "solver"), EQUAL)
def test_an_all_compute_schedule_is_bit_for_bit_the_plain_pipeline(
    models: Callable[[str], Model], name: str, solver: str, guidance: float
) -> None:
    model = models(name)
    frame = a_frame(model, 3, solver=solver, guidance=guidance)
    (prompt,) = some_prompts(7)
    latents, _ = latents_of(model, frame, [prompt])
    pixels = pixels_of(model, latents)[0]
    plain_latents, plain_pixels = by_diffusers(model, frame, prompt)

    assert torch.equal(latents, plain_latents)
    assert np.array_equal(pixels, plain_pixels)


def adapted_unet() -> nn.Module:
    return adapt(TINY["sd2"]().unet.eval())


@torch.inference_mode()
@pytest.mark.parametrize("build", [emu_twin, adapted_unet])
def test_a_unet_of_any_make_equals_itself_when_everything_computes(
    build: Callable[[], nn.Module],
) -> None:
    model = bare_model("bare", build())
    expected = unpacked(model.pipe.unet(**inputs_of(model), return_dict=False))
    with cached(model.units, all_compute(1, model.units.graph)) as run:
        assert torch.equal(ran(model, run, 0), expected)


def test_units_are_the_same_with_and_without_adapters(models: Callable[[str], Model]) -> None:
    assert find_units(adapted_unet()).graph == models("sd2").units.graph


def test_a_reused_update_includes_what_its_adapter_adds() -> None:
    model, unit = bare_model("adapted", adapted_unet()), "down.0.attn.0"
    (first, second), (x0, x1) = updates(model, unit, reusing(model, unit))

    assert not torch.allclose(x0, x1)
    torch.testing.assert_close(second, first, atol=1e-5, rtol=1e-5)


def test_a_negative_prompt_is_what_the_plain_pipeline_makes_of_it(model: Model) -> None:
    frame, prompt = a_frame(model, 2), Prompt("a red apple", "green, blurry", 3)
    latents, _ = latents_of(model, frame, [prompt])

    assert torch.equal(latents, by_diffusers(model, frame, prompt)[0])


def test_what_ran_is_what_the_schedule_says(ruled: tuple[Model, Schedule]) -> None:
    model, schedule = ruled
    _, counts = latents_of(model, a_frame(model, schedule), some_prompts(0, 1))

    assert counts == schedule.counts(model.units.graph)


def test_no_layer_of_a_unit_runs_unless_the_unit_computes(ruled: tuple[Model, Schedule]) -> None:
    (model, schedule), calls, handles = ruled, Counter[str](), []
    for entry in model.units.modules:
        if entry.tap is not None:
            count = _counting(calls, entry.unit.name)
            handles.append(entry.tap.register_forward_hook(count))
    latents_of(model, a_frame(model, schedule), some_prompts())
    for handle in handles:
        handle.remove()

    runs = zip(*schedule.normalised(model.units.graph).computes, strict=True)
    expected = {u.name: sum(c) for u, c in zip(model.units.graph.units, runs, strict=True)}
    assert calls == {name: expected[name] for name in calls}
    assert sum(calls.values()) > 0


def _counting(calls: Counter[str], name: str) -> Callable[..., None]:
    def count(*_: Any) -> None:
        calls[name] += 1

    return count


def test_what_is_skipped_cannot_be_seen_in_the_picture(ruled: tuple[Model, Schedule]) -> None:
    model, schedule = ruled
    frame = a_frame(model, schedule)
    expected, _ = latents_of(model, frame, some_prompts())
    poison = _Poison(model, schedule)
    poisoned, _ = latents_of(model, frame, some_prompts(), poison.on_step)
    poison.remove()

    assert torch.equal(poisoned, expected)


class _Poison:
    """Lets every module whose units are all skipped return NaN."""

    def __init__(self, model: Model, schedule: Schedule) -> None:
        self._work = schedule.work(model.units.graph)
        self._step = 0
        shared: dict[torch.nn.Module, list[int]] = {}
        for u, entry in enumerate(model.units.modules):
            shared.setdefault(entry.module, []).append(u)
        self._handles = [m.register_forward_hook(self._hook(us)) for m, us in shared.items()]

    def _hook(self, units: list[int]) -> Callable[..., Any]:
        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            if any(self._work[self._step][u] is not Work.SKIPPED for u in units):
                return output
            first = output[0] if isinstance(output, tuple) else output
            nan = torch.full_like(first, torch.nan)
            return (nan,) if isinstance(output, tuple) else nan

        return hook

    def on_step(self, step: int, _run: CacheRun, _latents: Tensor) -> bool:
        self._step = min(step + 1, len(self._work) - 1)
        return True

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


@pytest.mark.parametrize(("name", "unit"), RESIDUALS)
def test_a_reused_residual_unit_adds_its_old_update_to_its_new_input(
    models: Callable[[str], Model], name: str, unit: str
) -> None:
    model = models(name)
    (first, second), (x0, x1) = updates(model, unit, reusing(model, unit))

    assert not torch.allclose(x0, x1)
    torch.testing.assert_close(second, first, atol=1e-5, rtol=1e-5)


def test_a_reused_sampler_gives_its_old_output(tiny: Model) -> None:
    unit = tiny.units.graph.index("up.0.upsampler")
    seen: list[Tensor] = []
    with cached(tiny.units, reusing(tiny, "up.0.upsampler")) as run:
        handle = tiny.units.modules[unit].module.register_forward_hook(
            lambda _m, _x, y: seen.append(y)
        )
        for step in range(2):
            ran(tiny, run, step, value=float(step))
        handle.remove()

    assert torch.equal(seen[0], seen[1])


@torch.inference_mode()
def test_deepcache_computes_the_last_layer_alone_on_the_old_deep_feature(tiny: Model) -> None:
    unet, kept = tiny.pipe.unet, []
    with cached(tiny.units, deepcache(2, tiny.units.graph, 2)) as run:
        ran(tiny, run, 0)
        fast = ran(tiny, run, 1, value=0.5)
    before_last = unet.up_blocks[-1].attentions[-2]
    handle = before_last.register_forward_hook(lambda _m, _x, y: kept.append(y[0]))
    with cached(tiny.units, all_compute(1, tiny.units.graph)) as run:
        ran(tiny, run, 0)
    handle.remove()

    assert torch.equal(fast, _last_layer(unet, kept[0], value=0.5))


def _last_layer(unet: Any, deep: Tensor, value: float) -> Tensor:
    """Run only both ends of a UNet and its last up layer, as DeepCache describes it."""
    inputs = example_inputs(unet)
    steps = inputs["timestep"].expand(1)
    embedded = unet.time_embedding(unet.time_proj(steps))
    block = unet.up_blocks[-1]
    x = torch.cat([deep, unet.conv_in(noise(4, 8) + value)], dim=1)
    x = block.resnets[-1](x, embedded)
    x = block.attentions[-1](x, inputs["encoder_hidden_states"], return_dict=False)[0]
    output: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(x)))
    return output


def test_the_unet_is_restored_afterwards(model: Model) -> None:
    with cached(model.units, all_compute(1, model.units.graph)):
        assert not is_untouched(model.pipe.unet)

    assert is_untouched(model.pipe.unet)


def test_the_unet_is_restored_after_an_error(tiny: Model) -> None:
    inputs = {**example_inputs(tiny.pipe.unet), "encoder_hidden_states": torch.zeros(1, 2, 7)}
    with (
        pytest.raises(RuntimeError, match="shapes"),
        cached(tiny.units, all_compute(1, tiny.units.graph)),
    ):
        tiny.pipe.unet(**inputs)

    assert is_untouched(tiny.pipe.unet)


def test_a_run_nobody_waits_for_stops_and_restores_the_unet(tiny: Model) -> None:
    with pytest.raises(Stopped, match="after step 2 of 5"):
        latents_of(tiny, a_frame(tiny, 5), some_prompts(), lambda step, _run, _latents: step < 1)

    assert is_untouched(tiny.pipe.unet)


def test_a_schedule_for_another_unet_is_refused(tiny: Model) -> None:
    with (
        pytest.raises(InvalidSchedule, match="2 units, this UNet has"),
        cached(tiny.units, Schedule(((True, True),))),
    ):
        pass


def test_the_picture_of_a_seed_is_the_same_in_any_batch(model: Model) -> None:
    frame = a_frame(model, uniform(4, model.units.graph, 2), solver="dpmpp_2m")
    together, _ = latents_of(model, frame, some_prompts(1, 2, 3))
    for i, seed in enumerate((1, 2, 3)):
        alone, _ = latents_of(model, frame, some_prompts(seed))

        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)
