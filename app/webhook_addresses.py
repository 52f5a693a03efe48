"""Which addresses webhooks may be called at: public ones, and networks the operator has named.

A name is looked up for every delivery and the connection made to the address that was checked, so
that a name which resolves to something else a moment later gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from app.errors import AddressRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.settings import Settings

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST_ADDRESSES = 4
PORTS = {"https": 443, "http": 80}
# Translated to IPv4 somewhere on the way, so that they may lead into a private network.
TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")))


@dataclass(frozen=True, slots=True)
class Target:
    """Where a delivery goes: the addresses that were checked, and the name they came from."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[Address, ...]

    @property
    def urls(self) -> list[str]:
        """The URL with each address instead of the name, in the order they are to be tried."""
        written = [f"[{a}]" if a.version == 6 else str(a) for a in self.addresses[:MOST_ADDRESSES]]
        return [f"{self.scheme}://{address}:{self.port}{self.path}" for address in written]

    @property
    def host_header(self) -> str:
        """What the receiver is asked for."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"


def refusal(url: str, settings: Settings) -> str | None:
    """Return why a request may not name this webhook, None when it may."""
    if settings.webhook_secret is None:
        return "webhooks are off here: the operator turns them on with BLOCKCACHE_WEBHOOK_SECRET"
    try:
        parts = parsed(url)
        _check(parts.scheme, literal(parts.hostname or ""), settings.webhook_networks)
    except AddressRefused as error:
        return str(error)
    return None


def parsed(url: str) -> SplitResult:
    """Take a URL apart; raises AddressRefused when it is none that could be called."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("must be a URL like https://example.org/hook") from None
    printable = url.isascii() and url.isprintable() and " " not in url
    if not printable or parts.scheme not in PORTS or not parts.hostname or port == 0:
        raise AddressRefused("must be a URL like https://example.org/hook")
    if "@" in parts.netloc:
        raise AddressRefused("must not hold a name or password")
    return parts


async def resolve(url: str, networks: Sequence[str]) -> Target:
    """Look a webhook's host up and check what was found.

    Raises AddressRefused when any of its addresses is one that may not be called, OSError when
    there is none.
    """
    parts = parsed(url)
    host = parts.hostname or ""
    port = parts.port or PORTS[parts.scheme]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    listed = [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
    addresses = tuple(dict.fromkeys(listed))
    for address in addresses:
        _check(parts.scheme, address, networks)
    path = parts._replace(scheme="", netloc="", path=parts.path or "/", fragment="").geturl()
    return Target(parts.scheme, host, port, path, addresses)


def literal(host: str) -> Address | None:
    """Return the address a host is written as, None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check(scheme: str, address: Address | None, networks: Sequence[str]) -> None:
    named = address is not None and _is_in(address, networks)
    if address is not None and not (named or is_public(address)):
        raise AddressRefused("leads to an address that is not public")
    if scheme != "https" and not named and (address is not None or not networks):
        raise AddressRefused("must begin with https://")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, by whatever way it is written."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


def _is_in(address: Address, networks: Sequence[str]) -> bool:
    known = map(ipaddress.ip_network, networks)
    return any(network.version == address.version and address in network for network in known)
