"""Shapes small enough to be measured in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tiny_models import SHAPES
from workers import shapes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def small_shapes() -> Iterator[None]:
    """Let the shapes `small` and `smallxl` be known."""
    with pytest.MonkeyPatch.context() as patch:
        for name, config in SHAPES.items():
            patch.setitem(shapes.SHAPES, name, config)
        yield
