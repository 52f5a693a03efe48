"""Each process loads only what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded(statement: str, *suspects: str) -> set[str]:
    probe = f"import sys\n{statement}\nprint(*(m for m in {suspects!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["app.main", "app.serve", "app.cli", "app.commands", "app.up"])
def test_the_gateways_side_loads_no_torch(module: str) -> None:
    assert loaded(f"import {module}", "torch", "diffusers", "transformers") == set()


@pytest.mark.parametrize("module", ["gateway_queue", "worker_queue", "jobs", "cards"])
def test_the_contract_loads_no_web_stack(module: str) -> None:
    suspects = ("fastapi", "starlette", "pydantic", "uvicorn", "httpx")

    assert loaded(f"import app.contract.{module}", *suspects) == set()


def test_the_command_line_loads_no_web_stack_before_a_command_runs() -> None:
    assert loaded("import app.cli, app.commands", "fastapi", "uvicorn", "httpx") == set()
