from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from workers.errors import UnknownSolver
from workers.solvers import SOLVERS, solver

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.pipeline import Model


def test_an_unknown_solver_is_refused_by_naming_the_known_ones(tiny: Model) -> None:
    with pytest.raises(UnknownSolver, match="'euler'; there are ddim, dpmpp_2m"):
        solver("euler", tiny.pipe.scheduler.config)


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


def test_dpm_solver_ends_at_no_noise(tiny: Model) -> None:
    made = solver("dpmpp_2m", tiny.pipe.scheduler.config)
    made.set_timesteps(4)

    assert made.sigmas[-1] == 0
