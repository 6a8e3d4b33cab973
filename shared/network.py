"""Which IP addresses belong to the open internet, so that a stranger may have us connect to them.

Everything else is somebody's own: this machine, its networks, its cloud's metadata service.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_OWN: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' own, and one cloud's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's metadata behind an address that looks public
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast, reserved and broadcast
        ),
    )
)
_GLOBAL: Final = IPv6Network("2000::/3")
_NOT_GLOBAL: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo and other tunnels, which hide an IPv4 address
            "2001:db8::/32",
            "2002::/16",  # 6to4, the same
            "3fff::/20",
        ),
    )
)
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")  # how an IPv6-only network names IPv4 addresses


def is_public(text: str) -> bool:
    """Whether `text` is an address of the open internet; False for what is no address at all."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public_4(address)
    return _is_public_6(address)


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _OWN)


def _is_public_6(address: IPv6Address) -> bool:
    if address.scope_id is not None:
        return False
    if address in _TRANSLATED:
        return _is_public_4(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL and not any(address in network for network in _NOT_GLOBAL)
