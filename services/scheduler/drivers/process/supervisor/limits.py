"""Sees when a replica uses up more than it may. What comes to a limit is ended by the keeper.

Where there are control groups that we may write, the kernel keeps the limits of memory and of
processes, and is asked whether it had to. Elsewhere they are looked at now and then. What is
written is always looked at: it lies in folders of ours, and in files that have no name any more. A
look waits for far longer than it works, in slices between which requests are passed on.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Literal, NamedTuple

from shared.confine import used
from shared.confine.cgroups import Group

from . import family
from .spec import Limits, Spec

Limit = Literal["memory", "processes", "disk", "files"]

EVERY = 1.0  # seconds between two looks at processes
SELDOM = 3.0  # and at files
SHARE = 20  # a look may take this part of the time
SLICE = 0.002  # seconds
FOLDERS = ("image", "tmp")  # of the replica's, in which it may write
LASTING = frozenset(("disk", "files"))
"""Limits that another life would be at from its beginning: what was written is still there."""


class Written(NamedTuple):
    size: int = 0  # bytes
    files: int = 0


class Watch:
    """Made before the first life: what is in its folders then was not written by it."""

    def __init__(self, spec: Spec, folder: int, group: Group) -> None:
        self._limits = spec.limits
        self._isolated = spec.isolated
        self._group = group
        self._told = group.refused()
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        self._folders = [os.open(name, flags, dir_fd=folder) for name in FOLDERS]
        self._given = Written()
        with suppress(used.TooDeep):
            for now in self._written([]):
                self._given = now

    def refused(self) -> Limit | None:
        """At which limit the kernel stopped it since this was asked last."""
        before, self._told = self._told, self._group.refused()
        return next((limit for limit, n in self._told.items() if n > before.get(limit, 0)), None)

    async def crowded(self) -> Limit:
        """Return when there are too many processes, or they have too much memory."""
        while True:
            began = time.monotonic()
            found = self.refused() or self._crowded()
            if found is not None:
                return found
            await asyncio.sleep(max(EVERY, SHARE * (time.monotonic() - began)))

    async def filled(self) -> Limit:
        """Return when it has written too much."""
        while True:
            try:
                found = await self._filled()
            except used.TooDeep:
                return "files"
            if found is not None:
                return found
            await asyncio.sleep(SELDOM)

    def _crowded(self) -> Limit | None:
        running = self._processes()
        if 0 < self._limits.processes < len(running):
            return "processes"
        most = 0 if self._group.keeps_memory else self._limits.memory
        if 0 < most < used.resident(running) and most < used.proportional(running):
            return "memory"
        return None

    async def _filled(self) -> Limit | None:
        began = time.monotonic()
        for now in self._written(self._processes()):
            if 0 < self._limits.disk < now.size - self._given.size:
                return "disk"
            if 0 < self._limits.files < now.files - self._given.files:
                return "files"
            if time.monotonic() - began > SLICE:
                await asyncio.sleep(SHARE * SLICE)
                began = time.monotonic()
        return None

    def _written(self, running: list[str]) -> Iterator[Written]:
        """As far as it has been looked at."""
        named = chain.from_iterable(map(used.below, self._folders))
        for size, files in used.totals(chain(named, used.deleted(running))):
            yield Written(size, files)

    def _processes(self) -> list[str]:
        """Those of the server, in all its lives."""
        ours = str(os.getpid())
        found = used.processes() if self._isolated else map(str, family.descendants(os.getpid()))
        return [process for process in found if process != ours]


def reason(limit: Limit, limits: Limits, what: str = "its server") -> str:
    """One line about an end at a limit, for a person.

    >>> reason("disk", Limits(disk=1 << 30))
    'its server wrote more than the 1024 MiB that it may'
    """
    said = {
        "memory": f"needed more than the {limits.memory >> 20} MiB of memory",
        "processes": f"had more than the {limits.processes} processes",
        "disk": f"wrote more than the {limits.disk >> 20} MiB",
        "files": f"made more than the {limits.files} files",
    }
    return f"{what} {said[limit]} that it may"
