"""The state of a training on disk, so that it can go on where it stopped."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from workers.errors import CalibrationError
from workers.whole_files import write_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from workers.training import Training

MOMENTS = ("exp_avg", "exp_avg_sq")


def save(training: Training, path: Path) -> None:
    """Write terms, optimiser moments and iteration as one safetensors file, whole or not at all."""
    state = training.optimiser.state
    tensors = {f"terms.{name}": term.detach() for name, term in training.terms.items()}
    for name, term in training.terms.items():
        tensors |= {f"{key}.{name}": state[term][key] for key in MOMENTS if term in state}
    metadata = {"origin": json.dumps(asdict(training.origin)), "iteration": str(training.iteration)}
    write_tensors(path, tensors, metadata)


def resume(training: Training, path: Path) -> None:
    """Take up what `save` wrote; raises CalibrationError when it is another training's."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            origin, iteration = json.loads(metadata["origin"]), int(metadata["iteration"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"{path} is not the state of a training: {error!r}") from error
    if origin != asdict(training.origin):
        raise CalibrationError(f"{path} is the training of another model, solver or schedule")
    training.iteration = iteration
    for name, term in training.terms.items():
        _restore(training.optimiser, term, tensors, name, iteration)


def _restore(
    optimiser: torch.optim.Optimizer,
    term: nn.Parameter,
    tensors: dict[str, Tensor],
    name: str,
    iteration: int,
) -> None:
    with torch.no_grad():
        term.copy_(tensors[f"terms.{name}"])
    if iteration:
        state: dict[str, Any] = {key: tensors[f"{key}.{name}"].to(term.device) for key in MOMENTS}
        optimiser.state[term] = {"step": torch.tensor(float(iteration)), **state}
