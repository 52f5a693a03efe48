"""The solvers a plan can name, made from the model's own noise schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from workers.errors import UnknownSolver

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

# Latents are not bounded to [-1, 1], so nothing is clipped unless the model says so. Ending at
# sigma 0 is what makes few steps sharp, and what zero-terminal-SNR models need; a multistep solver
# that ends there must take its last step at first order.
SOLVERS: dict[str, tuple[type[Any], dict[str, Any], dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {"clip_sample": False}, {}),
    "dpmpp_2m": (
        DPMSolverMultistepScheduler,
        {},
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"},
    ),
    "unipc": (
        UniPCMultistepScheduler,
        {},
        {
            "predict_x0": True,
            "solver_order": 2,
            "final_sigmas_type": "zero",
            "lower_order_final": True,
        },
    ),
    "euler": (EulerDiscreteScheduler, {}, {"final_sigmas_type": "zero"}),
}
PLACED: dict[str, tuple[str, float]] = {
    "dpmpp_2m_p1.2": ("dpmpp_2m", 1.2),
    "dpmpp_2m_p1.35": ("dpmpp_2m", 1.35),
}
"""Solvers with timesteps of their own, and the power that makes them denser towards the picture."""

# Other ways to place steps, which a model may ask for; diffusers takes one way at a time.
OWN_PLACES = dict.fromkeys(
    ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"), False
)

CALIBRATED = ("ddim", "dpmpp_2m", *PLACED)
"""The solvers a calibration covers unless told otherwise: every one more takes its time again."""

_CALLS = "calls the UNet more than once in some of its steps, and a schedule has one call a step"
_NOISE = "draws new noise at every step, and a seed fixes only the first noise of a picture"
_BY_REASON = {
    _CALLS: ("dpm2", "dpm_fast", "dpmpp_2s", "heun", "kdpm2", "plms", "pndm"),
    _NOISE: (
        *("ddpm", "dpm2_a", "dpmpp_2m_sde", "dpmpp_2s_a", "dpmpp_3m_sde", "dpmpp_sde"),
        *("euler_a", "kdpm2_a", "lcm", "sa_solver", "tcd"),
    ),
}
REFUSED = {name: reason for reason, names in _BY_REASON.items() for name in names}
"""Well-known solvers that block caching cannot serve, and why."""


def started(name: str, config: Mapping[str, Any], steps: int, device: torch.device) -> Any:
    """Return a fresh scheduler called `name`, PLACED ones too, with the timesteps of all steps.

    Raises UnknownSolver as `solver` does.
    """
    if name not in PLACED:
        scheduler = solver(name, config)
        scheduler.set_timesteps(steps, device=device)
        return scheduler
    base, power = PLACED[name]
    scheduler = solver(base, {**config, **OWN_PLACES})
    places = timesteps(scheduler.config.num_train_timesteps, steps, power)
    scheduler.set_timesteps(timesteps=places, device=device)
    return scheduler


def timesteps(total: int, steps: int, power: float) -> list[int]:
    """Return `steps` falling timesteps t_i = T (1 − i/N)^power − 1, from T − 1 on, none twice.

    A power above 1 puts more of them near 0, where the picture's details are decided.
    """
    exact = (total * (1 - i / steps) ** power - 1 for i in range(steps))
    return [max(round(t), steps - 1 - i) for i, t in enumerate(exact)]


def solver(name: str, config: Mapping[str, Any]) -> Any:
    """Return a fresh diffusers scheduler called `name` on the noise schedule of `config`.

    Raises UnknownSolver naming the ones there are, and saying why if it is one of REFUSED.
    """
    if name not in SOLVERS:
        why = f"{name!r} {REFUSED[name]}" if name in REFUSED else f"no solver is called {name!r}"
        raise UnknownSolver(f"{why}; there are {', '.join((*SOLVERS, *PLACED))}")
    kind, defaults, forced = SOLVERS[name]
    return kind.from_config({**defaults, **config}, **forced)
