"""Print what pyproject.toml asks for: the dependencies and those of the extras named."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
extras = project["optional-dependencies"]
lines = [*project["dependencies"], *(line for extra in sys.argv[1:] for line in extras[extra])]
sys.stdout.write("\n".join(lines) + "\n")
