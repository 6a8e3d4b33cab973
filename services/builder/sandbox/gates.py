"""Who is reached from a sandbox: public addresses on the ports of the web, and the gates.

A gate is a `host:port` that this machine's operator named, in the settings of apt, pip or uv. It
may be anywhere, also on a private network. Everything else that isn't public (the machine by any
of its addresses, its network, the metadata of a cloud) is refused, by the address that a name
turned out to have.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.confine.egress import Allowed, Proxy, Request, Through

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = frozenset((80, 443))
DEFAULTS = {"http": 80, "https": 443}
URL = re.compile(r"https?://[^\s,'\"\]]+")
EMBEDDING = ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
"""IPv6 networks whose addresses are ways to IPv4 ones."""
NOBODYS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
"""Networks of the documentation: they are no network's own, and stand for the internet in tests."""


def guard(gates: Iterable[str]) -> Allowed:
    open_to = frozenset(gates)

    def allowed(request: Request, address: str) -> bool:
        if f"{request.host.lower()}:{request.port}" in open_to:
            return True
        return request.port in PORTS and public(address) and not ours(address)

    return allowed


def public(address: str) -> bool:
    """Whether an address is one that everybody on the internet may reach.

    >>> public("93.184.216.34"), public("169.254.169.254"), public("10.0.0.1")
    (True, False, False)
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    if _among(found, EMBEDDING) or found.is_multicast:
        return False
    return found.is_global or _among(found, NOBODYS)


def _among(address: Address, networks: Iterable[str]) -> bool:
    return any(address in ipaddress.ip_network(network) for network in networks)


def ours(address: str) -> bool:
    """Whether an address is one of this machine's: then a socket can be bound to it."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(kind, socket.SOCK_DGRAM) as door:
        try:
            door.bind((address, 0))
        except OSError:
            return False
    return True


def proxies(settings: Mapping[str, str]) -> dict[str, str]:
    """What `settings` say of proxies, by small names."""
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    found = {name.lower(): text for name, text in sorted(settings.items()) if text}
    return {name: found[name] for name in names if name in found}


def through(settings: Mapping[str, str]) -> Through:
    """By which of the machine's proxies a request goes on, as the usual clients decide it."""
    found = proxies(settings)
    direct = [part.strip().lstrip("*.").lower() for part in found.get("no_proxy", "").split(",")]
    by_scheme = {
        scheme: _proxy(found.get(f"{scheme}_proxy") or found.get("all_proxy", ""))
        for scheme in DEFAULTS
    }

    def chosen(request: Request) -> Proxy | None:
        host = request.host.lower()
        if "*" in found.get("no_proxy", "").split(",") or any(
            part and (host == part or host.endswith(f".{part}")) for part in direct
        ):
            return None
        return by_scheme["http" if request.opening else "https"]

    return chosen


def _proxy(text: str) -> Proxy | None:
    if not text:
        return None
    url = urlsplit(text if "://" in text else f"http://{text}")
    if url.scheme != "http" or not url.hostname:  # a proxy that is asked by TLS or SOCKS
        return None
    pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    basic = b64encode(pair.encode()).decode()
    return Proxy(url.hostname, url.port or 80, f"Basic {basic}" if url.username else "")


def named(texts: Iterable[str]) -> list[str]:
    """The gates that these settings name by their URLs.

    >>> named(["deb [signed-by=x] http://Mirror.example/debian bookworm main"])
    ['mirror.example:80']
    """
    found = set()
    for text in texts:
        for match in URL.finditer(text):
            try:
                url = urlsplit(match[0])
                port = url.port or DEFAULTS[url.scheme]
            except ValueError:
                continue
            if url.hostname:
                found.add(f"{url.hostname}:{port}")
    return sorted(found)


def of_machine(settings: Mapping[str, str], apt: Path = Path("/etc/apt")) -> list[str]:
    """The gates of this machine: its package sources for apt, and `settings` for pip and uv."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    texts = list(settings.values())
    for file in files:
        if file.suffix in (".list", ".sources") and file.is_file():
            texts.append(_without_comments(file.read_text("utf-8", "replace")))
    return named(texts)


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
