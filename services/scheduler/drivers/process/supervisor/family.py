"""The processes below one, and how to end them where no PID namespace does it for us."""

from __future__ import annotations

import os


def parents() -> dict[int, int]:
    """Every process that can be seen, and its parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:  # ended meanwhile
                continue
            if fields[0] != b"Z":
                found[int(name)] = int(fields[1])
    return found


def descendants(of: int) -> set[int]:
    """All living processes below `of`. Orphans among them count when `of` adopts orphans."""
    tree = parents()
    found: set[int] = set()
    level = {of}
    while level:
        level = {child for child, parent in tree.items() if parent in level} - found
        found |= level
    return found


def signal_all(number: int, everything: bool) -> bool:
    """Signal all below this process and say whether there were any; 0 only looks.

    `everything`: this is the first process of a PID namespace, so all are below it.
    """
    if everything:
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return False
        return True
    found = descendants(os.getpid())
    for process in found:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue
    return bool(found)
