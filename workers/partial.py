"""What an unfinished calibration has finished: a folder of parts, bound to what they depend on."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from safetensors import SafetensorError

from workers.errors import CalibrationError, WorkerError
from workers.whole_files import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from workers.calibration_parts import Part

T = TypeVar("T")

BINDING = "bound-to.json"
UNREADABLE = (OSError, SafetensorError, WorkerError, ValueError, LookupError, TypeError)


@dataclass(frozen=True, slots=True)
class PartialFolder:
    """Keeps parts as they are finished; one that cannot be read again is made again.

    `note` says in a sentence what was found there, and is empty when nothing was.
    """

    folder: Path
    note: str

    @classmethod
    def opened(cls, folder: Path, bound_to: Mapping[str, Any]) -> Self:
        """Take up the parts in a folder, or empty it when they depend on anything else.

        Raises CalibrationError when nothing can be written there.
        """
        wanted = json.loads(json.dumps(bound_to))
        found = _binding(folder)
        try:
            if found == wanted:
                return cls(folder, _going_on(folder))
            note = _begun_anew(folder, found, wanted) if folder.exists() else ""
            _emptied(folder)
            write_json(folder / BINDING, wanted)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return cls(folder, note)

    def __call__(self, part: Part[T], make: Callable[[], T]) -> T:
        """Return a part as it was kept, or make and keep it.

        Raises CalibrationError when it cannot be kept.
        """
        path = self.folder / part.file
        kept = _read(part, path)
        if kept is not None:
            return kept
        made = make()
        try:
            part.write(path, made)
        except (OSError, SafetensorError) as error:
            raise _unwritable(self.folder, error) from error
        return made

    def remove(self) -> None:
        """Forget all parts; raises CalibrationError when they cannot be removed."""
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            raise _unwritable(self.folder, error) from error


def _read(part: Part[T], path: Path) -> T | None:
    try:
        return part.read(path)
    except UNREADABLE:
        return None


def _emptied(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _binding(folder: Path) -> Any:
    try:
        return json.loads((folder / BINDING).read_text())
    except (OSError, ValueError):
        return None


def _going_on(folder: Path) -> str:
    finished = [path for path in folder.iterdir() if path.suffix in {".json", ".safetensors"}]
    return f"going on in {folder}, finished parts: {len(finished) - 1}"


def _begun_anew(folder: Path, found: Any, wanted: dict[str, Any]) -> str:
    if not isinstance(found, dict):
        return f"begun anew: what is in {folder} cannot be read"
    keys = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
    return f"begun anew: the parts in {folder} differ in {', '.join(keys)}"


def _unwritable(folder: Path, error: Exception) -> CalibrationError:
    reason = getattr(error, "strerror", None) or error
    return CalibrationError(f"cannot write to {folder}: {reason}")
