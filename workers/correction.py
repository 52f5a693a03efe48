"""Corrections of reused values: a scale and a shift per channel, unit and step.

A reused value c becomes γ ⊙ c + β (the scale-shift adjustment of Wimbauer et al., CVPR 2024) or,
two-tap, γ ⊙ c + δ ⊙ (c − c′) + β with c′ the unit's computed value before c: a linear forecast.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors import SafetensorError, safe_open

from workers.errors import CalibrationError
from workers.whole_files import write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from schedules.schedule import Schedule
    from workers.pipeline import Model
    from workers.sampler import Frame

TERMS = {"closed-form": 2, "trained": 2, "two-tap": 3, "two-tap-trained": 3}


@dataclass(frozen=True, slots=True)
class Origin:
    """What a correction was made for and how; `schedule` is the digest of the normalised table."""

    revision: str
    solver: str
    steps: int
    schedule: str
    kind: str

    @classmethod
    def of(cls, model: Model, frame: Frame, kind: str) -> Self:
        """Name what `frame` runs on `model`."""
        table = frame.schedule.normalised(model.units.graph)
        return cls(model.revision, frame.solver, table.steps, table.digest, kind)


@dataclass(frozen=True, slots=True)
class Correction:
    """The corrections of every reuse in one schedule; equal when their ids and origins are.

    `terms[unit]` is K × reuses × C: γ − 1, β and, for kinds of two taps, δ, so that zeros change
    nothing; the reuses are the unit's own, in the schedule's order. `id` names the content.
    `prepared` remembers what runs make of the terms.
    """

    id: str
    origin: Origin
    terms: Mapping[str, Tensor] = field(compare=False, repr=False)
    prepared: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, origin: Origin, terms: Mapping[str, Tensor]) -> Self:
        """Keep terms in half precision; raises CalibrationError when they do not fit into it."""
        packed = {name: terms[name].detach().cpu().half().contiguous() for name in sorted(terms)}
        if not all(torch.isfinite(table).all() for table in packed.values()):
            raise CalibrationError("a correction is too large for half precision, or not a number")
        return cls(_content_id(origin, packed), origin, packed)

    @property
    def is_two_tap(self) -> bool:
        """Whether the computed value before the last one is needed too."""
        return TERMS[self.origin.kind] == 3

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the same correction with its terms on a device, in a dtype; itself if they are."""
        if all(v.device == device and v.dtype == dtype for v in self.terms.values()):
            return self
        return replace(self, terms={k: v.to(device, dtype) for k, v in self.terms.items()})

    def is_for(self, solver: str, schedule: Schedule) -> bool:
        """Return whether it was made for this solver and this (normalised) schedule."""
        return (self.origin.solver, self.origin.schedule) == (solver, schedule.digest)

    def require(self, model: Model, frame: Frame) -> None:
        """Raise CalibrationError unless it was made for these weights and this solver."""
        made_for = (self.origin.revision, self.origin.solver)
        if made_for != (model.revision, frame.solver):
            raise CalibrationError(
                f"correction {self.id} is for {' and '.join(made_for)}, "
                f"not {model.revision} and {frame.solver}"
            )

    def save(self, path: Path) -> None:
        """Write a safetensors file, one tensor a unit."""
        terms = {name: table.cpu().half() for name, table in self.terms.items()}
        write_tensors(path, terms, {"origin": json.dumps(asdict(self.origin))})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises CalibrationError when it is anything else."""
        try:
            with safe_open(path, framework="pt") as file:
                origin = Origin(**json.loads(file.metadata()["origin"]))
                terms = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise CalibrationError(f"there is no correction {path}") from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise CalibrationError(f"{path} is not a correction: {error!r}") from error
        if origin.kind not in TERMS:
            raise CalibrationError(f"{path} is of the kind {origin.kind!r}, unknown here")
        return cls.of(origin, terms)


def _content_id(origin: Origin, terms: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(asdict(origin), sort_keys=True).encode())
    for name, table in terms.items():
        digest.update(f"{name}{tuple(table.shape)}".encode())
        digest.update(table.numpy().tobytes())
    return digest.hexdigest()[:16]
