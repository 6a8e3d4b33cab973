"""Ports for servers of tests."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from typing import Final

RANGE: Final = range(12_000, 32_000)  # below those of connections


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; another may take one before we do.

    That is not likely: the kernel gives those of this range to nobody who asks for any.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice(RANGE)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


def free_port() -> int:
    """One such."""
    return free_ports(1)[0]
