"""Where a replica listens, as one string that fits a table column and an event.

`http://10.1.2.3:8000` is TCP; `unix:/run/x.sock` is a socket on this machine, behind which one
replica answers in a network of its own; `doorman://10.1.2.3:7200` is the doorman of a copy, who has
to prove whose it is before he is told anything (shared.doorman).
"""

from __future__ import annotations

from typing import NewType

Address = NewType("Address", str)

UNIX = "unix:"
DOORMAN = "doorman://"


def unix_path(address: str) -> str | None:
    """The socket's path, or None when the address is not of that kind."""
    return address.removeprefix(UNIX) if address.startswith(UNIX) else None


def at_doorman(host: str, port: int) -> Address:
    return Address(f"{DOORMAN}[{host}]:{port}" if ":" in host else f"{DOORMAN}{host}:{port}")


def has_doorman(address: str) -> bool:
    return address.startswith(DOORMAN)
