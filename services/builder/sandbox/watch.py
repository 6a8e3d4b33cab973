"""Looks after the limits from inside, as the first process of the command's namespaces.

Nothing inside can end the first process, and its `/proc` shows the command's processes alone.
"""

from __future__ import annotations

import os
import time
from itertools import chain

from shared.confine.used import (
    TooDeep,
    below,
    deleted,
    processes,
    proportional,
    resident,
    totals,
)

from .spec import End, Limits

EVERY = 0.05  # seconds between two looks at processes
SHARE = 10  # a look at the disk may take this part of the time
RESERVE = 1 << 30  # bytes that are left to others on the disk, whatever the limit


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


def usage(folder: int, most_bytes: int, most_files: int) -> End | None:
    """Whether more lies below `folder` than may: looked at only until that is known."""
    for size, files in totals(chain(below(folder), deleted(processes()))):
        if size > most_bytes:
            return "disk"
        if files > most_files:
            return "files"
    return None
