"""Generation settings as the line of text that AUTOMATIC1111's tools write and read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.contract.jobs import Job

SAMPLERS = {
    "ddim": "DDIM",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_p1.2": "DPM++ 2M",
    "dpmpp_2m_p1.35": "DPM++ 2M",
    "euler": "Euler",
    "unipc": "UniPC",
}
"""What users of AUTOMATIC1111 call the solvers."""


def sampler(solver: str) -> str:
    """Return what users of AUTOMATIC1111 call a solver: its own name if they know no other."""
    return SAMPLERS.get(solver, solver)


def infotext(job: Job, seed: int, solver: str, steps: int, rule: str) -> str:
    """Describe one picture of a job and the plan that made it."""
    settings = {
        "Steps": steps,
        "Sampler": sampler(solver),
        "CFG scale": f"{job.guidance_scale:g}",
        "Seed": seed,
        "Size": f"{job.width}x{job.height}",
        "Model hash": job.revision,
        "Model": job.model,
        "Solver": solver,
        "Block caching": rule,
    }
    lines = [job.prompt]
    if job.negative_prompt:
        lines.append(f"Negative prompt: {job.negative_prompt}")
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in settings.items()))
    return "\n".join(lines)


def _quoted(value: str) -> str:
    # Readers split the line at commas and colons unless they stand in a JSON string.
    return json.dumps(value, ensure_ascii=False) if set(value) & set(',:\n"') else value
