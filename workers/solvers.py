"""The solvers a plan can name, made from the model's own noise schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from workers.errors import UnknownSolver

if TYPE_CHECKING:
    from collections.abc import Mapping

# Latents are not bounded to [-1, 1], so nothing is clipped unless the model says so. Ending
# DPM-Solver++ at sigma 0 is what makes few steps sharp, and what zero-terminal-SNR models need.
SOLVERS: dict[str, tuple[type[Any], dict[str, Any], dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {"clip_sample": False}, {}),
    "dpmpp_2m": (
        DPMSolverMultistepScheduler,
        {},
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"},
    ),
}


def solver(name: str, config: Mapping[str, Any]) -> Any:
    """Return a fresh diffusers scheduler called `name` on the noise schedule of `config`.

    Raises UnknownSolver naming the ones there are.
    """
    if name not in SOLVERS:
        raise UnknownSolver(f"no solver is called {name!r}; there are {', '.join(SOLVERS)}")
    kind, defaults, forced = SOLVERS[name]
    return kind.from_config({**defaults, **config}, **forced)
