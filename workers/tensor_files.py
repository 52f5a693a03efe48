"""Safetensors files that are never half written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors in one move: what was there before stays until all is written."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    save_file(dict(tensors), unfinished, metadata=dict(metadata))
    unfinished.replace(path)
