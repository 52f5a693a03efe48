"""The parts of a calibration that are kept once they are finished, and how each is a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from safetensors import safe_open

from schedules.book import Plan
from schedules.change import ChangeProfile
from schedules.influence import Influence, Influences
from workers import training_files
from workers.correction import Correction
from workers.quality import METRIC, Fidelity
from workers.whole_files import write_json, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from schedules.units import UnitGraph
    from workers.training import Training

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part's file name, what writes it there whole, and what reads exactly the same again."""

    file: str
    write: Callable[[Path, T], None]
    read: Callable[[Path], T]


class Keep(Protocol):
    """Gives a part: the one that was kept, or else the one made now."""

    def __call__(self, part: Part[T], make: Callable[[], T]) -> T:
        """Return the part, made or as it was when it was made."""


def keep_nothing(part: Part[T], make: Callable[[], T]) -> T:  # noqa: ARG001 - a Keep
    """Make every part."""
    return make()


def reference() -> Part[NDArray[np.uint8]]:
    """Return the part that holds the uncached reference pictures."""
    return Part("reference.safetensors", _write_array, _read_array)


def last_latents() -> Part[Tensor]:
    """Return the part that holds the final latents of the reference run."""
    return Part(
        "reference-latents.safetensors",
        lambda path, latents: write_tensors(path, {"array": latents.float().contiguous()}, {}),
        lambda path: torch.from_numpy(_read_array(path)),
    )


def profile(solver: str, steps: int) -> Part[ChangeProfile]:
    """Return the part that holds the change profile of a run."""
    return Part(f"profile-{solver}-{steps}.json", _write_profile, _read_profile)


def influence(solver: str, steps: int) -> Part[Influences]:
    """Return the part that holds the influence of a run."""
    return Part(f"influence-{solver}-{steps}.safetensors", _write_influences, _read_influences)


def plans(stage: str, graph: UnitGraph) -> Part[tuple[Plan, ...]]:
    """Return the part that holds which plans a stage is about."""
    return Part(f"plans-{stage}.json", _write_plans, lambda path: _read_plans(path, graph))


def nearer(number: int, plan: Plan, graph: UnitGraph) -> Part[tuple[Plan, ...]]:
    """Return the part that holds what a round of search found from a plan."""
    return plans(f"round-{number}-{_named(plan)}", graph)


def fidelity(look: str, plan: Plan) -> Part[Fidelity]:
    """Return the part that holds how a plan was judged by one look at its pictures."""
    return Part(f"{look}-{_named(plan)}.json", _write_fidelity, _read_fidelity)


def closeness(plan: Plan) -> Part[float]:
    """Return the part that holds how far a corrected run ends from the reference."""
    return Part(f"closeness-{_named(plan)}.json", write_json, _read_number)


def correction(plan: Plan) -> Part[Correction]:
    """Return the part that holds the correction fitted for a plan."""
    return Part(
        f"correction-{_named(plan)}.safetensors",
        lambda path, fitted: fitted.save(path),
        Correction.load,
    )


def training(number: int, plan: Plan, into: Training) -> Part[Training]:
    """Return the part that holds the state of a training after a slice; it is read `into` it."""

    def read(path: Path) -> Training:
        training_files.resume(into, path)
        return into

    file = f"training-{_named(plan)}-{number}.safetensors"
    return Part(file, lambda path, trained: training_files.save(trained, path), read)


def _named(plan: Plan) -> str:
    return f"{plan.solver}-{plan.schedule.digest}"


def _write_array(path: Path, array: NDArray[Any]) -> None:
    write_tensors(path, {"array": torch.from_numpy(array).contiguous()}, {})


def _read_array(path: Path) -> NDArray[Any]:
    with safe_open(path, framework="np") as file:
        array: NDArray[Any] = file.get_tensor("array")
    return array


def _write_influences(path: Path, found: Influences) -> None:
    kinds = {"plain": found.plain.effects, "corrected": found.corrected.effects}
    tensors = {kind: torch.from_numpy(effects).contiguous() for kind, effects in kinds.items()}
    write_tensors(path, tensors, {})


def _read_influences(path: Path) -> Influences:
    with safe_open(path, framework="np") as file:
        plain, corrected = (Influence(file.get_tensor(kind)) for kind in ("plain", "corrected"))
    return Influences(plain, corrected)


def _write_profile(path: Path, found: ChangeProfile) -> None:
    write_json(path, asdict(found))


def _read_profile(path: Path) -> ChangeProfile:
    data = json.loads(path.read_text())
    mean, std = (tuple(tuple(row) for row in data[key]) for key in ("mean", "std"))
    return ChangeProfile(mean, std, data["samples"])


def _write_plans(path: Path, found: Iterable[Plan]) -> None:
    write_json(path, [plan.to_dict() for plan in found])


def _read_plans(path: Path, graph: UnitGraph) -> tuple[Plan, ...]:
    return tuple(Plan.from_dict(plan, graph, METRIC) for plan in json.loads(path.read_text()))


def _read_number(path: Path) -> float:
    return float(json.loads(path.read_text()))


def _write_fidelity(path: Path, found: Fidelity) -> None:
    write_json(path, asdict(found))


def _read_fidelity(path: Path) -> Fidelity:
    return Fidelity(**json.loads(path.read_text()))
