"""Where a replica listens, as one string that fits a table column and an event.

`http://10.1.2.3:8000` is TCP; `unix:/run/x.sock` is a socket on this machine, behind which one
replica answers in a network of its own.
"""

from __future__ import annotations

from typing import NewType

Address = NewType("Address", str)

UNIX = "unix:"


def unix_path(address: str) -> str | None:
    """The socket's path, or None when the address is not of that kind."""
    return address.removeprefix(UNIX) if address.startswith(UNIX) else None
