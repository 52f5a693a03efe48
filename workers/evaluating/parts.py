"""What of an evaluation is kept while it goes on: the methods that meet, and every picture."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from schedules.schedule import Schedule
from workers.calibration_parts import Part
from workers.correction import Correction
from workers.evaluating.methods import Method
from workers.evaluating.peers import PEERS
from workers.whole_files import write_json, write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from workers.sampler import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One subject by all methods: milliseconds, and pictures, methods × H × W × 3."""

    ms: NDArray[np.float64]
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LinedUp:
    """The methods that meet, the uncached run first; who was left out and why; times of making."""

    methods: tuple[Method, ...]
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def pictures(of: str, number: int) -> Part[Made]:
    """Return the part that holds the pictures of one subject."""
    return Part(f"{of}-{number:04}.safetensors", _write_made, _read_made)


def lined_up(frame: Frame) -> Part[LinedUp]:
    """Return the part that holds the methods of one solver and step count."""
    return Part(
        f"methods-{frame.solver}-{frame.schedule.steps}.json",
        _write_lined_up,
        lambda path: _read_lined_up(path, frame),
    )


def trained(frame: Frame) -> Part[Correction]:
    """Return the part that holds the correction trained for a schedule."""
    return Part(
        f"trained-{frame.solver}-{frame.schedule.digest}.safetensors",
        lambda path, found: found.save(path),
        Correction.load,
    )


def _write_made(path: Path, made: Made) -> None:
    tensors = {
        "ms": torch.from_numpy(made.ms),
        "pixels": torch.from_numpy(made.pixels).contiguous(),
    }
    write_tensors(path, tensors, {})


def _read_made(path: Path) -> Made:
    with safe_open(path, framework="np") as file:
        return Made(file.get_tensor("ms"), file.get_tensor("pixels"))


def _write_lined_up(path: Path, found: LinedUp) -> None:
    """Write corrections first, so that methods which can be read have theirs."""
    for method in found.methods:
        if method.frame.correction is not None:
            method.frame.correction.save(_correction_path(path, method.frame.correction.id))
    methods = [_to_dict(method) for method in found.methods]
    write_json(path, {"methods": methods, "notes": found.notes, "seconds": dict(found.seconds)})


def _to_dict(method: Method) -> dict[str, Any]:
    correction = method.frame.correction
    return {
        "name": method.name,
        "group": method.group,
        "units": method.frame.schedule.units,
        "table": method.frame.schedule.encode(),
        "correction": None if correction is None else correction.id,
        "is_peer": method.enable is not None,
        "compute_fraction": method.compute_fraction,
    }


def _read_lined_up(path: Path, frame: Frame) -> LinedUp:
    data = json.loads(path.read_text())
    methods = tuple(_from_dict(path, one, frame) for one in data["methods"])
    return LinedUp(methods, tuple(data["notes"]), data["seconds"])


def _from_dict(path: Path, data: dict[str, Any], frame: Frame) -> Method:
    schedule, wanted = Schedule.decode(data["table"], data["units"]), data["correction"]
    correction = None if wanted is None else Correction.load(_correction_path(path, wanted))
    peers = {peer.name: peer.enable for peer in PEERS}
    return Method(
        data["name"],
        data["group"],
        replace(frame, schedule=schedule, correction=correction),
        peers[data["name"]] if data["is_peer"] else None,
        data["compute_fraction"],
    )


def _correction_path(path: Path, correction_id: str) -> Path:
    return path.with_name(f"correction-{correction_id}.safetensors")
