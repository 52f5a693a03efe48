"""Calibration results on disk: JSON and safetensors, with what made them."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from schedules.book import PlanBook
from schedules.change import ChangeProfile
from schedules.cost import CostModel
from schedules.errors import ScheduleError
from workers.correction import Correction
from workers.errors import CalibrationError
from workers.whole_files import write_json, write_tensors

if TYPE_CHECKING:
    from schedules.book import Plan
    from workers.calibration import Calibration
    from workers.calibration_settings import CalibrationSettings
    from workers.pipeline import Model

FOLDER = "blockcache"
CORRECTIONS = "corrections"


def book_path(folder: Path, width: int, height: int) -> Path:
    """Return where the plan book of a size lies."""
    return folder / f"book-{width}x{height}.json"


def partial_path(folder: Path, width: int, height: int) -> Path:
    """Return where the finished parts of an unfinished calibration of a size lie."""
    return folder / f"partial-{width}x{height}"


def save(calibration: Calibration, model: Model, folder: Path) -> None:
    """Write book, costs, profiles and corrections; raises CalibrationError when it cannot."""
    settings, made = calibration.settings, provenance(model)
    book = replace(
        calibration.book,
        made={**made, **_listed(asdict(settings))},
    )
    costs = {**calibration.costs.to_dict(), "made": made}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(book_path(folder, settings.width, settings.height), book.to_dict())
        write_json(folder / f"costs-{settings.width}x{settings.height}.json", costs)
        _save_profiles(calibration, made, _profiles_path(folder, settings.width, settings.height))
        for correction in calibration.corrections.values():
            save_correction(correction, folder)
    except OSError as error:
        raise CalibrationError(f"cannot write to {folder}: {error.strerror or error}") from error


def provenance(model: Model) -> dict[str, Any]:
    """Return what a measurement depends on: weights, device, dtype, versions, date."""
    cuda = model.device.type == "cuda"
    return {
        "revision": model.revision,
        "device": torch.cuda.get_device_name(model.device) if cuda else platform.machine(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("blockcache", "torch", "diffusers")},
        "date": datetime.now(UTC).date().isoformat(),
    }


def dependencies(model: Model, settings: CalibrationSettings) -> dict[str, Any]:
    """Return what the parts of a calibration depend on."""
    # Threads decide how long it takes, and costs are measured anew.
    made = {k: v for k, v in provenance(model).items() if k not in {"date", "threads"}}
    return {**made, **asdict(settings)}


def _listed(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}


def _save_profiles(calibration: Calibration, made: dict[str, Any], path: Path) -> None:
    tensors = {}
    for (solver, steps), profile in calibration.profiles.items():
        tensors[f"{solver}.{steps}.mean"] = torch.tensor(profile.mean)
        tensors[f"{solver}.{steps}.std"] = torch.tensor(profile.std)
    samples = str(len(calibration.settings.requests))
    write_tensors(path, tensors, {"samples": samples, "made": json.dumps(made)})


def _profiles_path(folder: Path, width: int, height: int) -> Path:
    return folder / f"profiles-{width}x{height}.safetensors"


def load_profiles(folder: Path, width: int, height: int) -> dict[tuple[str, int], ChangeProfile]:
    """Read the change profiles by (solver, steps); raises CalibrationError when there are none."""
    path = _profiles_path(folder, width, height)
    if not path.is_file():
        raise CalibrationError(f"no {path.name} in {folder}: run blockcache calibrate first")
    with safe_open(path, framework="pt") as file:
        samples = int(file.metadata()["samples"])
        tables = {name: _rows(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    names = sorted({name.rpartition(".")[0] for name in tables})
    return {
        _key(name): ChangeProfile(tables[f"{name}.mean"], tables[f"{name}.std"], samples)
        for name in names
    }


def _key(name: str) -> tuple[str, int]:
    solver, _, steps = name.rpartition(".")
    return solver, int(steps)


def _rows(table: torch.Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in table.tolist())


def load_book(folder: Path, width: int, height: int) -> PlanBook:
    """Read the plan book of a size; raises CalibrationError saying how to make one."""
    path = book_path(folder, width, height)
    try:
        return PlanBook.from_dict(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise CalibrationError(
            f"no plan book for {width}x{height} pictures in {folder}: run blockcache calibrate"
        ) from error
    except (OSError, ValueError, ScheduleError) as error:
        raise CalibrationError(f"{path} cannot be read: {error}") from error


def load_costs(folder: Path, width: int, height: int) -> CostModel:
    """Read saved costs; raises CalibrationError when they are missing or broken."""
    path = folder / f"costs-{width}x{height}.json"
    try:
        return CostModel.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise CalibrationError(f"{path} cannot be read: {error}") from error


def save_correction(correction: Correction, folder: Path) -> None:
    """Write a correction beside the plan book; raises CalibrationError when it cannot be."""
    path = _correction_path(folder, correction.id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        correction.save(path)
    except OSError as error:
        raise CalibrationError(f"cannot write to {path}: {error.strerror or error}") from error


def load_corrections(folder: Path, book: PlanBook) -> dict[str, Correction]:
    """Read the corrections a book names, by id.

    Raises CalibrationError when one is missing, damaged, or made for another plan or model.
    """
    named = {plan.correction: plan for plan in book.plans if plan.correction is not None}
    return {name: _correction_of(plan, name, book, folder) for name, plan in named.items()}


def _correction_of(plan: Plan, name: str, book: PlanBook, folder: Path) -> Correction:
    correction = Correction.load(_correction_path(folder, name))
    is_whole = correction.id == name and correction.origin.revision == book.revision
    if not is_whole or not correction.is_for(plan.solver, plan.schedule):
        raise CalibrationError(f"correction {name} is not the one that {plan.name} was made with")
    return correction


def _correction_path(folder: Path, correction_id: str) -> Path:
    return folder / CORRECTIONS / f"{correction_id}.safetensors"
