"""From a host's name to the addresses that git may connect to: looked up once, each one checked.

git is then held to these addresses (command.pinned), so that a name which means something else a
moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from shared.errors import Invalid, Transient
from shared.git import Remote
from shared.network import is_public

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, none when it is unknown. Raises Transient when nobody answers."""

PATIENCE: Final = 15.0  # seconds
MOST: Final = 16  # addresses


async def system(host: str, port: int) -> Sequence[str]:
    """As this machine resolves names."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise Transient(f"nobody told the address of {host} in time") from None
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Transient(f"nobody tells the address of {host}") from error
        return []
    except UnicodeError:
        return []
    return [str(address[4][0]) for address in found]


async def addresses(remote: Remote, lookup: Lookup = system) -> list[str]:
    """Raises Invalid when the host is unknown, or when one of its addresses is not public."""
    if remote.is_address:
        return [remote.host]
    found = list(dict.fromkeys(await lookup(remote.host, remote.port)))
    if not found:
        raise Invalid("url", "names a host that nobody knows")
    if not remote.trusted and not all(map(is_public, found)):
        raise Invalid("url", "names a host with an address of a private or special network")
    return found[:MOST]
