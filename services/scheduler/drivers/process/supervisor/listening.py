"""Who listens on a port, read from the kernel's tables: looked at, never connected to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LISTEN = "0A"


def rows(table: Iterable[str]) -> Iterator[tuple[int, int, str, str]]:
    """Local port, remote port, state and inode of every TCP socket in a table of the kernel's."""
    for line in table:
        fields = line.split()
        if fields[:1] == ["sl"]:  # the head
            continue
        local, remote = fields[1], fields[2]
        yield (
            int(local.rsplit(":", 1)[1], 16),
            int(remote.rsplit(":", 1)[1], 16),
            fields[3],
            fields[9],
        )


def _rows() -> Iterator[tuple[int, int, str, str]]:
    """Those of this network namespace."""
    for table in TABLES:
        try:
            with open(table) as lines:
                yield from rows(lines)
        except FileNotFoundError:  # a kernel without IPv6
            continue


def listeners(port: int) -> set[str]:
    """The inodes of the sockets that listen on `port`."""
    return {inode for local, _, state, inode in _rows() if local == port and state == LISTEN}


def accepted(port: int, source: int) -> bool:
    """Whether the server on `port` has taken the connection that came from port `source`.

    A connection that waits in the backlog belongs to no process yet: its inode is 0.
    """
    return any(
        local == port and remote == source and inode != "0" for local, remote, _, inode in _rows()
    )


def held_by(processes: set[int], inodes: set[str]) -> bool:
    """Whether one of `processes` has one of these sockets open."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return any(wanted.intersection(_links(process)) for process in processes)


def _links(process: int) -> Iterator[str]:
    folder = f"/proc/{process}/fd"
    try:
        for name in os.listdir(folder):
            try:
                yield os.readlink(f"{folder}/{name}")
            except OSError:  # closed meanwhile
                continue
    except OSError:  # ended meanwhile
        return
