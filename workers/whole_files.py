"""Safetensors and JSON files that are never half written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors in one move: what was there before stays until all is written."""
    unfinished = _unfinished(path)
    save_file(dict(tensors), unfinished, metadata=dict(metadata))
    unfinished.replace(path)


def write_json(path: Path, data: Any) -> None:
    """Write plain data in one move, as `write_tensors` does."""
    unfinished = _unfinished(path)
    unfinished.write_text(json.dumps(data, indent=1) + "\n")
    unfinished.replace(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished")
