from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.rendering import a_frame, latents_of, some_prompts
from workers.errors import UnknownSolver
from workers.sampler import Walk, encode, initial_latents
from workers.solvers import CALIBRATED, PLACED, REFUSED, SOLVERS, solver, started, timesteps

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.pipeline import Model


def test_an_unknown_solver_is_refused_by_naming_the_known_ones(tiny: Model) -> None:
    with pytest.raises(
        UnknownSolver, match=r"'magic'; there are ddim, dpmpp_2m, unipc, euler, dpmpp_2m_p1.2"
    ):
        solver("magic", tiny.pipe.scheduler.config)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("heun", "calls the UNet more than once"),
        ("kdpm2", "calls the UNet more than once"),
        ("pndm", "calls the UNet more than once"),
        ("euler_a", "draws new noise at every step"),
        ("ddpm", "draws new noise at every step"),
        ("lcm", "draws new noise at every step"),
        ("dpmpp_2m_sde", "draws new noise at every step"),
    ],
)
def test_a_solver_that_cannot_be_cached_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(UnknownSolver, match=f"^'{name}' {why}.*; there are ddim, dpmpp_2m"):
        solver(name, {})


def test_no_solver_is_both_served_and_refused() -> None:
    assert SOLVERS.keys().isdisjoint(REFUSED)


def test_what_a_calibration_covers_can_be_served() -> None:
    assert set(CALIBRATED) <= SOLVERS.keys() | PLACED.keys()


@given(st.integers(1, 200), st.floats(0.5, 2.0))
def test_placed_timesteps_fall_from_the_last_one_to_the_picture(steps: int, power: float) -> None:
    found = timesteps(1000, steps, power)

    assert len(found) == steps
    assert found[0] == 999
    assert all(a > b >= 0 for a, b in pairwise(found))


def test_a_power_above_1_puts_more_steps_near_the_picture() -> None:
    even, late = (timesteps(1000, 20, power) for power in (1.0, 1.35))

    assert even == list(range(999, 0, -50))
    assert all(a < b for a, b in zip(late[1:], even[1:], strict=True))


@pytest.mark.parametrize("name", PLACED)
def test_a_placed_solver_ends_at_the_picture(models: Callable[[str], Model], name: str) -> None:
    config = {**models("sd1").pipe.scheduler.config, "use_karras_sigmas": True}

    made = started(name, config, 12, torch.device("cpu"))

    assert len(made.timesteps) == 12
    assert made.sigmas[-1] == 0


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_keeps_the_models_noise_schedule(
    models: Callable[[str], Model], name: str
) -> None:
    config = models("sd2").pipe.scheduler.config
    made = solver(name, config)

    assert made.config.prediction_type == "v_prediction"
    assert made.config.rescale_betas_zero_snr is True
    assert made.config.timestep_spacing == "trailing"
    assert made.alphas_cumprod[-1] < 1e-6


@pytest.mark.parametrize("name", SOLVERS)
def test_every_request_gets_a_solver_of_its_own(tiny: Model, name: str) -> None:
    config = tiny.pipe.scheduler.config

    assert solver(name, config) is not solver(name, config)
    assert torch.equal(solver(name, config).betas, tiny.pipe.scheduler.betas)


@pytest.mark.parametrize("name", ["dpmpp_2m", "unipc", "euler"])
def test_solvers_of_sigmas_end_at_no_noise(tiny: Model, name: str) -> None:
    elsewhere = {**tiny.pipe.scheduler.config, "final_sigmas_type": "sigma_min"}
    made = solver(name, elsewhere)
    made.set_timesteps(4)

    assert made.sigmas[-1] == 0


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("family", ["sd1", "sd2"])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_latents_stay_finite_from_full_to_no_noise(
    models: Callable[[str], Model], family: str, name: str, steps: int
) -> None:
    model = models(family)
    latents, _ = latents_of(model, a_frame(model, steps, solver=name), some_prompts())

    assert torch.isfinite(latents).all()


@torch.inference_mode()
@pytest.mark.parametrize("name", SOLVERS)
def test_a_step_predicted_twice_goes_on_as_if_predicted_once(
    models: Callable[[str], Model], name: str
) -> None:
    one, other = (a_walk(models("sd2"), name) for _ in range(2))
    for step in range(3):
        one.advance(step, one.predict(step))
        other.predict(step, torch.ones_like(other.latents))
        other.advance(step, other.predict(step))

    assert torch.equal(one.latents, other.latents)


@torch.inference_mode()
@pytest.mark.parametrize("name", SOLVERS)
def test_a_step_long_past_is_predicted_as_it_was(models: Callable[[str], Model], name: str) -> None:
    walk, past = a_walk(models("sd2"), name), []
    for step in range(3):
        past.append((walk.latents, walk.predict(step)))
        walk.advance(step, past[-1][1])

    for step, (latents, prediction) in reversed([*enumerate(past)]):
        assert torch.equal(walk.predict(step, latents), prediction)


def a_walk(model: Model, solver: str) -> Walk:
    frame, prompts = a_frame(model, 3, solver=solver), some_prompts(4)
    conditioning = encode(model, prompts, frame)
    return Walk(model, conditioning, initial_latents(model, prompts, frame), frame)
