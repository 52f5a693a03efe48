"""By which names a gateway lets itself be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.keys import new_key
from tests.integration.gateways import running_gateway

if TYPE_CHECKING:
    from app.contract.settings import QueueSettings
    from app.settings import Settings


def asked_as(
    host: str, settings: Settings, queue_settings: QueueSettings, **changes: Any
) -> httpx.Response:
    """Return what a gateway answers that is asked by a name."""
    with running_gateway(replace(settings, **changes), queue_settings) as url:
        return httpx.get(f"{url}/healthz", headers={"Host": host}, timeout=30)


@pytest.mark.parametrize("host", ["evil.example:80", "localhost.evil.example", "192.168.1.5"])
def test_without_keys_another_name_than_this_machines_is_refused(
    gateway: httpx.Client, host: str
) -> None:
    answer = gateway.post("/generate", headers={"Host": host}, json={"prompt": "a cat"})

    assert answer.status_code == 421
    assert answer.json()["type"].endswith("unknown-host")
    assert "BLOCKCACHE_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host",
    [
        "LOCALHOST:8000",
        "localhost.",
        "a.localhost:1",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]:80",
    ],
)
def test_the_names_of_this_machine_are_known(gateway: httpx.Client, host: str) -> None:
    assert gateway.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["", "[::1", "localhost@evil.example", "a b"])
def test_what_is_no_name_is_refused(gateway: httpx.Client, host: str) -> None:
    assert gateway.get("/healthz", headers={"Host": host}).status_code in {400, 421}


def test_a_setting_adds_names(settings: Settings, queue_settings: QueueSettings) -> None:
    how = (settings, queue_settings)
    answers = [asked_as(f"{n}:81", *how, allowed_hosts=("box",)) for n in ("box", "box.example")]

    assert [answer.status_code for answer in answers] == [200, 421]


def test_with_keys_any_name_will_do(settings: Settings, queue_settings: QueueSettings) -> None:
    _, key = new_key("alice")

    assert asked_as("evil.example", settings, queue_settings, keys=(key,)).status_code == 200
