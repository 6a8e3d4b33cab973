"""Looks after the limits from inside, as the first process of the command's namespaces.

Nothing inside can end the first process, and its `/proc` shows the command's processes alone.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from .spec import End, Limits

EVERY = 0.05  # seconds between two looks at processes
PAGE = os.sysconf("SC_PAGESIZE")
SHARE = 10  # a look at the disk may take this part of the time
RESERVE = 1 << 30  # bytes that are left to others on the disk, whatever the limit
DEEPEST = 400  # folders in one another


class TooDeep(Exception):
    """Folders lie in one another so deep that nobody means it."""


class Watch:
    def __init__(self, limits: Limits, folder: int, *, memory: bool) -> None:
        """`folder` is the open folder that is counted; `memory`: nobody else limits it."""
        self._limits = limits
        self._folder = folder
        self._memory = memory
        self._next = 0.0
        self._free = 0

    def exceeded(self) -> End | None:
        """Called often; the limit that is exceeded, if one is."""
        running = processes()
        if len(running) - 1 > self._limits.processes:
            return "processes"
        most = self._limits.memory
        if self._memory and resident(running) > most and proportional(running) > most:
            return "memory"
        return self._disk()

    def _disk(self) -> End | None:
        state = os.fstatvfs(self._folder)
        free = state.f_bavail * state.f_frsize
        if free < min(RESERVE, self._free // 2):
            return "disk"
        self._free = max(self._free, free)
        began = time.monotonic()
        if began < self._next:
            return None
        try:
            found = usage(self._folder, self._limits.disk, self._limits.files)
        except TooDeep:
            found = "files"
        self._next = time.monotonic() + max(2 * EVERY, SHARE * (time.monotonic() - began))
        return found


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


def usage(folder: int, most_bytes: int, most_files: int) -> End | None:
    """Whether more lies below `folder` than may: looked at only until that is known."""
    total = 0
    device = os.fstat(folder).st_dev
    for files, found in enumerate(chain(_walk(folder, device), _deleted()), 1):
        total += found.st_blocks * 512 // max(1, found.st_nlink)
        if total > most_bytes:
            return "disk"
        if files > most_files:
            return "files"
    return None


def _walk(folder: int, device: int, depth: int = 0) -> Iterator[os.stat_result]:
    """What is below, without what is mounted there. Open folders are as many as it is deep."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
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
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        yield from _walk(folder, device, depth)
    finally:
        os.close(folder)


def _deleted() -> Iterator[os.stat_result]:
    """Files that have no name any more and take room until somebody closes them."""
    seen = set()
    for process in processes():
        with suppress(OSError):
            for name in os.listdir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    found = os.stat(f"/proc/{process}/fd/{name}")
                    key = (found.st_dev, found.st_ino)
                    if found.st_nlink == 0 and stat.S_ISREG(found.st_mode) and key not in seen:
                        seen.add(key)
                        yield found
