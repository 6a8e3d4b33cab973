"""What a tree of processes uses of the machine: processes, memory, room on the disk. Looked at."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress

PAGE = os.sysconf("SC_PAGESIZE")
DEEPEST = 400  # folders in one another
HIDDEN = (FileNotFoundError, NotADirectoryError, PermissionError)  # gone, or not to be looked at


class TooDeep(Exception):
    """Folders lie in one another so deep that nobody means it."""


def processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def resident(running: list[str]) -> int:
    """Bytes in memory; what processes share counts for each of them."""
    total = 0
    for process in running:
        with suppress(OSError, IndexError, ValueError), open(f"/proc/{process}/statm") as file:
            total += int(file.read().split()[1]) * PAGE
    return total


def proportional(running: list[str]) -> int:
    """Bytes in memory; what processes share counts once. Dear, so only asked in doubt."""
    total = 0
    for process in running:
        with suppress(OSError), open(f"/proc/{process}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) << 10
    return total


def below(folder: int) -> Iterator[os.stat_result]:
    """What lies below an open folder, without what is mounted there. Raises TooDeep."""
    return _walk(folder, os.fstat(folder).st_dev)


def totals(found: Iterable[os.stat_result]) -> Iterator[tuple[int, int]]:
    """Bytes and files, as far as they have been looked at."""
    total = 0
    for files, each in enumerate(found, 1):
        total += each.st_blocks * 512 // max(1, each.st_nlink)
        yield total, files


def _walk(folder: int, device: int, depth: int = 0) -> Iterator[os.stat_result]:
    """Open folders are as many as it is deep."""
    with suppress(*HIDDEN), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(*HIDDEN):
                found = entry.stat(follow_symlinks=False)
                if found.st_dev != device:
                    continue
                yield found
                if entry.is_dir(follow_symlinks=False):
                    yield from _below(folder, entry.name, device, depth + 1)


def _below(parent: int, name: str, device: int, depth: int) -> Iterator[os.stat_result]:
    if depth > DEEPEST:
        raise TooDeep
    try:
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except HIDDEN:
        return
    try:
        yield from _walk(folder, device, depth)
    finally:
        os.close(folder)


def deleted(running: Iterable[str]) -> Iterator[os.stat_result]:
    """Files that have no name any more and take room until one of these processes closes them."""
    seen = set()
    for process in running:
        with suppress(OSError):
            for name in os.listdir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    found = os.stat(f"/proc/{process}/fd/{name}")
                    key = (found.st_dev, found.st_ino)
                    if found.st_nlink == 0 and stat.S_ISREG(found.st_mode) and key not in seen:
                        seen.add(key)
                        yield found
