"""The parts of a calibration that are kept once they are finished, and how each is a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from safetensors import safe_open

from schedules.book import Plan
from schedules.change import ChangeProfile
from schedules.influence import Influence
from workers.correction import Correction
from workers.quality import METRIC, Fidelity
from workers.whole_files import write_json, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from schedules.units import UnitGraph

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


def profile(solver: str, steps: int) -> Part[ChangeProfile]:
    """Return the part that holds the change profile of a run."""
    return Part(f"profile-{solver}-{steps}.json", _write_profile, _read_profile)


def influence(solver: str, steps: int) -> Part[Influence]:
    """Return the part that holds the influence of a run."""
    return Part(
        f"influence-{solver}-{steps}.safetensors",
        lambda path, found: _write_array(path, found.effects),
        lambda path: Influence(_read_array(path)),
    )


def plans(stage: str, graph: UnitGraph) -> Part[tuple[Plan, ...]]:
    """Return the part that holds which plans a stage is about."""
    return Part(f"plans-{stage}.json", _write_plans, lambda path: _read_plans(path, graph))


def fidelity(look: str, plan: Plan) -> Part[Fidelity]:
    """Return the part that holds how a plan was judged by one look at its pictures."""
    return Part(f"{look}-{_named(plan)}.json", _write_fidelity, _read_fidelity)


def correction(plan: Plan) -> Part[Correction]:
    """Return the part that holds the correction fitted for a plan."""
    return Part(
        f"correction-{_named(plan)}.safetensors",
        lambda path, fitted: fitted.save(path),
        Correction.load,
    )


def _named(plan: Plan) -> str:
    return f"{plan.solver}-{plan.schedule.digest}"


def _write_array(path: Path, array: NDArray[Any]) -> None:
    write_tensors(path, {"array": torch.from_numpy(array).contiguous()}, {})


def _read_array(path: Path) -> NDArray[Any]:
    with safe_open(path, framework="np") as file:
        array: NDArray[Any] = file.get_tensor("array")
    return array


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


def _write_fidelity(path: Path, found: Fidelity) -> None:
    write_json(path, asdict(found))


def _read_fidelity(path: Path) -> Fidelity:
    return Fidelity(**json.loads(path.read_text()))
