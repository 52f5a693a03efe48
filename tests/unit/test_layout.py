"""The shape of the house: small files, light imports, documents that keep up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app import (
    compare_routes,
    job_routes,
    openai_images,
    plan_routes,
    routes,
    sdapi,
    status_routes,
)

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "workers", "schedules")
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
TOP = {
    ".ci", ".dockerignore", ".gitignore", "CHANGELOG.md", "Dockerfile", "LICENSE", "Makefile",
    "README.md", "app", "constraints.txt", "deploy", "docker-compose.yml", "docs",
    "pyproject.toml", "schedules", "tests", "workers",
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_in_one_sitting(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 300


def loaded_by(module: str) -> set[str]:
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("schedules.planner", {"torch", "redis", "fastapi", "pydantic"}),
        ("app.contract.worker_queue", {"torch", "fastapi", "pydantic"}),
        ("app.main", {"torch", "diffusers", "transformers", "opentelemetry.exporter"}),
        ("app.serve", {"opentelemetry.exporter"}),
        ("app.commands", {"torch", "fastapi", "redis"}),
        ("app.judge.commands", {"torch", "fastapi", "redis"}),
        ("workers.commands", {"torch", "diffusers", "fastapi"}),
        ("workers.main", {"fastapi", "starlette", "uvicorn", "opentelemetry.exporter"}),
    ],
)
def test_importing_stays_light(module: str, heavy: set[str]) -> None:
    assert heavy.isdisjoint(loaded_by(module))


def test_nothing_unknown_lies_at_the_top() -> None:
    git = shutil.which("git")
    assert git, "the checkout was made with git"
    tracked = subprocess.run(
        [git, "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert {path.split("/")[0] for path in tracked.stdout.splitlines()} <= TOP


ROUTES = {
    (route.path, page)  # type: ignore[attr-defined]
    for router, page in (
        (routes.router, "http.md"),
        (job_routes.router, "http.md"),
        (plan_routes.router, "http.md"),
        (compare_routes.router, "http.md"),
        (status_routes.router, "http.md"),
        (openai_images.router, "clients.md"),
        (sdapi.router, "clients.md"),
    )
    for route in router.routes
}


@pytest.mark.parametrize(("path", "page"), sorted(ROUTES))
def test_every_endpoint_is_documented(path: str, page: str) -> None:
    plain = path.replace("{job_id}", "{id}").replace("{index}", "{n}").replace(":path}", "}")

    assert plain in (ROOT / "docs" / page).read_text()
