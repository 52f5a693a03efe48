"""Every example in the documents works: run against a real gateway, or checked for its names."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from app.contract.settings import QueueSettings
from app.settings import Settings
from app.store import EmbeddedStore
from tests.docs.checks import URL, Place, checked, environment, run_for_real
from tests.docs.pages import PAGES, commands, examples, named
from tests.integration.fake_worker import FakeWorker
from tests.integration.gateways import running_gateway
from tests.picture_sets import a_set, write_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.docs.pages import Command, Example

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 of tests
COMMANDS = [command for page in PAGES for command in commands(page)]
EXAMPLES = [example for page in PAGES for example in examples(page)]
PYTHON = [page for page in PAGES if any(e.language == "python" for e in examples(page))]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Yield the URL of a gateway with a worker that answers at once."""
    with EmbeddedStore() as store:
        settings = Settings(
            store_url=store.url,
            port=0,
            fleet_ttl_ms=0,
            shutdown_grace_s=2,
            webhook_secret=WEBHOOK_SECRET,
        )
        queue = QueueSettings(prefix="documents")
        with running_gateway(settings, queue) as url, FakeWorker(store.url, queue):
            yield url


@pytest.fixture(scope="module")
def job(service: str) -> str:
    """Return the id of a job that has been accepted."""
    accepted = httpx.post(f"{service}/jobs", json={"prompt": "red apple"}).raise_for_status()
    return str(accepted.json()["id"])


@pytest.fixture
def place(service: str, job: str, tmp_path: Path) -> Place:
    """Return a folder with what examples find there, beside the service."""
    (tmp_path / "set").mkdir()
    write_set(tmp_path / "set", a_set())
    (tmp_path / "my-model").mkdir()
    return Place(tmp_path, service, job)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_works(command: Command, place: Place) -> None:
    checked(command).check(command.text, place)


@pytest.mark.parametrize("page", PYTHON, ids=named)
def test_python_works(page: Path, place: Place) -> None:
    text = "\n".join(e.text for e in examples(page) if e.language == "python")
    done = subprocess.run(
        [sys.executable, "-c", text.replace(URL, place.url)],
        cwd=place.folder, env=environment(place), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_of_a_language_that_is_checked(example: Example) -> None:
    assert example.language in ("sh", "python", "json", "")
    if example.language == "json":
        json.loads(example.text)


def test_an_example_that_fails_is_noticed(place: Place) -> None:
    for wrong in (f"curl -sS {URL}/nowhere", "blockcache plan --budget-ms 1"):
        with pytest.raises(AssertionError):
            run_for_real(wrong, place)
