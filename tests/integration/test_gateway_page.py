"""The page at /: who gets it, what it may do, and that nothing else is served."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from app.keys import new_key
from app.page import FILES, FOLDER, PATHS
from tests.integration.gateways import running_gateway

if TYPE_CHECKING:
    from app.contract.settings import QueueSettings
    from app.settings import Settings

SECRET, KEY = new_key("alice")


def test_every_file_of_the_page_is_served_and_no_other_is_there() -> None:
    found = {str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*") if p.is_file()}

    assert set(FILES.values()) == found


def test_everything_the_page_asks_for_is_there(gateway: httpx.Client) -> None:
    sources = "\n".join(gateway.get(path).text for path in PATHS if "vendor" not in path)
    asked = set(re.findall(r'(?:src|href)="(/page/[^"]+)"', sources))
    asked |= {f"/page/{name}" for name in re.findall(r'"\./([\w/.-]+\.js)"', sources)}

    assert len(asked) > 10
    assert asked <= PATHS


def test_the_page_runs_and_loads_only_what_comes_from_here(gateway: httpx.Client) -> None:
    answer = gateway.get("/")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", answer.text)


def test_a_file_that_is_known_is_not_sent_again(gateway: httpx.Client) -> None:
    etag = gateway.get("/page/style.css").headers["etag"]
    again = gateway.get("/page/style.css", headers={"If-None-Match": etag})

    assert (again.status_code, again.content) == (304, b"")


def test_a_file_is_compressed_for_those_who_understand(gateway: httpx.Client) -> None:
    plain = gateway.get("/page/playground.js", headers={"Accept-Encoding": "identity"})
    packed = gateway.get("/page/playground.js", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2


@pytest.mark.parametrize("path", ["/page/", "/page/../main.py", "/page/%2e%2e/main.py", "/page/x"])
def test_nothing_beside_the_page_is_served(gateway: httpx.Client, path: str) -> None:
    assert gateway.get(path).status_code == 404


def test_the_page_needs_no_key_but_what_it_asks_for_does(
    settings: Settings, queue_settings: QueueSettings
) -> None:
    guarded = replace(settings, keys=(KEY,))
    with (
        running_gateway(guarded, queue_settings) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        assert {client.get(path).status_code for path in PATHS} == {200}
        assert {client.get(path).status_code for path in ("/plans", "/status")} == {401}
        answer = client.get("/status", headers={"Authorization": f"Bearer {SECRET}"})

    assert answer.status_code == 200


def test_the_libraries_are_those_that_are_locked() -> None:
    root = Path(__file__).parents[2]
    lock = json.loads((root / "deploy/web/package-lock.json").read_text())["packages"]
    licences = (FOLDER / "vendor" / "LICENSES.txt", root / "tests/browser/vendor/LICENSES.txt")
    heads = re.findall(r"(?m)^([a-z-]+) (\d[\d.]+)$", "\n".join(p.read_text() for p in licences))

    assert len(heads) == 5
    assert all(lock[f"node_modules/{name}"]["version"] == version for name, version in heads)
