"""Which hosts may be talked to, and how.

A registry on this machine's loopback speaks plain HTTP, as Docker has it; all others speak TLS.
Only hosts that the platform trusts may have a private address: where a registry sends us on to
(storage, token servers) is its own word, and must not lead into the network that we run in.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from shared.registry.errors import Denied

_WRAPPED: Final = tuple(  # other addresses are written into these
    IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)


class Private(OSError):
    """A name led to an address that is not for it."""


class Hosts:
    """`trusted` are registries (`host[:port]`) that may be private; None: all that calls name."""

    def __init__(self, trusted: Collection[str] | None = None) -> None:
        self._all = trusted is None
        self._trusted = {name_of(registry) for registry in trusted or ()}

    def base(self, registry: str) -> URL:
        """Where the registry that somebody named is."""
        name = name_of(registry)
        if self._all:
            self._trusted.add(name)
        return URL(f"{'http' if is_loopback(name) else 'https'}://{registry}")

    def check(self, url: URL) -> None:
        """Raises Denied for an address, written as such, that is not for everybody to ask."""
        name = (url.host or "").lower()
        if name not in self._trusted and (name == "localhost" or _is_private(name)):
            raise Denied(f"{name} is a private address, and not that of a registry in use here")

    def may_be_private(self, name: str) -> bool:
        return name.lower() in self._trusted


class Guarded(AbstractResolver):
    """Names as the system resolves them, without private addresses for those not trusted.

    What is checked here is what is connected to, so a name can't change in between.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        if self._hosts.may_be_private(host):
            return found
        public = [result for result in found if not _is_private(result["host"])]
        if found and not public:
            raise Private(f"{host} has a private address")
        return public

    async def close(self) -> None:
        await self._system.close()


def name_of(registry: str) -> str:
    return (URL(f"http://{registry}").host or "").lower()


def are_one(registry: str, other: str) -> bool:
    """Whether two names are of one registry, with its usual port written or not.

    >>> are_one("Registry.example", "registry.example:443")
    True
    """
    return _door(registry) == _door(other)


def _door(registry: str) -> tuple[str, int]:
    name = name_of(registry)
    port = URL(f"http://{registry}").explicit_port
    return name, port or (80 if is_loopback(name) else 443)


def is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def _is_private(text: str) -> bool:
    address = _address(text)
    if address is None:
        return False
    if isinstance(address, IPv6Address) and any(address in network for network in _WRAPPED):
        return True
    return not address.is_global or address.is_multicast


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
