"""Where webhooks may lead."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest

from app.errors import AddressRefused, SettingsError
from app.settings import Settings
from app.webhook_addresses import is_public, resolve

STORE = {"BLOCKCACHE_STORE_URL": "redis://localhost"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 an address to refuse
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_the_public_internet_is_public(address: str, expected: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is expected


async def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    target = await resolve("http://localhost:8080/hook?a=b#c", ("127.0.0.0/8", "::1/128"))

    assert set(target.urls) <= {"http://127.0.0.1:8080/hook?a=b", "http://[::1]:8080/hook?a=b"}
    assert target.urls
    assert target.host_header == "localhost:8080"


async def test_a_usual_port_is_left_out_of_the_host() -> None:
    target = await resolve("https://8.8.8.8", ())

    assert (target.urls, target.host_header) == (["https://8.8.8.8:443/"], "8.8.8.8")


@pytest.mark.parametrize("url", ["https://0x7f.1/", "https://2130706433/", "https://0177.0.0.1/"])
async def test_other_ways_to_write_an_address_lead_nowhere_else(url: str) -> None:
    with pytest.raises((AddressRefused, OSError)):
        await resolve(url, ())


async def test_a_public_address_is_called_by_tls_only() -> None:
    with pytest.raises(AddressRefused, match="https://"):
        await resolve("http://8.8.8.8/", ("127.0.0.0/8",))


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "no secret", "whsec_*" * 9])
def test_a_secret_that_is_none_is_refused_without_repeating_it(secret: str) -> None:
    environment = {**STORE, "BLOCKCACHE_WEBHOOK_SECRET": secret}
    if not secret:
        assert Settings.read(environment, {}).webhook_secret is None
        return
    with pytest.raises(SettingsError, match="BLOCKCACHE_WEBHOOK_SECRET must be whsec_") as raised:
        Settings.read(environment, {})
    assert f"not {secret}" not in str(raised.value)


@pytest.mark.parametrize("networks", ["10.0.0.1/8", "10.0.0.1", "everything", "10.0.0.0/8,"])
def test_networks_that_are_none_are_refused(networks: str) -> None:
    with pytest.raises(SettingsError, match="BLOCKCACHE_WEBHOOK_NETWORKS must be networks"):
        Settings.read({**STORE, "BLOCKCACHE_WEBHOOK_NETWORKS": networks}, {})


async def test_when_one_address_may_not_be_called_none_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(AddressRefused, match="not public"):
        await resolve("https://example.org/", ())
