"""Training states on disk: tensors as safetensors, replaced in one move, so never half written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, safe_open

from workers.demo.errors import UnusableParts
from workers.whole_files import write_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn
    from torch.optim import Optimizer

NETWORK, OPTIMIZER = "network", "optimizer"


def save(path: Path, network: nn.Module, optimizers: Sequence[Optimizer], step: int) -> None:
    """Write the state after `step` steps; what was there before stays until all is written."""
    tensors = {f"{NETWORK}.{name}": tensor for name, tensor in network.state_dict().items()}
    for which, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            begin = f"{OPTIMIZER}.{which}.{index}"
            tensors |= {f"{begin}.{name}": value for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    owned = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    write_tensors(path, owned, {"step": str(step)})


def load(path: Path, network: nn.Module, optimizers: Sequence[Optimizer]) -> int:
    """Read what `save` wrote into network and optimisers; return the step, 0 without a file.

    Raises UnusableParts when the file is damaged or of other networks.
    """
    if not path.is_file():
        return 0
    try:
        tensors = load_file(path)
        network.load_state_dict(_under(NETWORK, tensors))
    except (SafetensorError, RuntimeError) as error:
        raise UnusableParts(f"{path} is no state of this training: remove it to begin") from error
    for which, optimizer in enumerate(optimizers):
        _restore(optimizer, _under(f"{OPTIMIZER}.{which}", tensors))
    return steps_done(path)


def _restore(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, field = name.partition(".")
        states.setdefault(int(index), {})[field] = tensor
    groups: Any = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def steps_done(path: Path) -> int:
    """Return how many steps a saved state has behind it, 0 without a file."""
    if not path.is_file():
        return 0
    with safe_open(path, framework="pt") as file:
        return int(file.metadata()["step"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
