"""Whether a GPU may be given to anybody, by what its machine says of it. Pure.

A GPU that is broken takes down what runs on it. One that its driver wants to reset, or of whose
memory something is still held, is only given to nobody else.
"""

from __future__ import annotations

from typing import Final

import msgspec

REST: Final = 600.0
"""Seconds for which an Xid keeps a GPU out whose driver can't say whether it has recovered."""

FLOOR: Final = 256 << 20
"""Bytes of a GPU's memory that may be in use while nothing holds any: a driver keeps some."""

MIB: Final = 1 << 20
XID: Final = "Xid"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine says of one of its GPUs."""

    broken: str = ""  # why nothing can run on it, and what ran has ended
    doubt: str = ""  # why nothing more should run on it
    xid: int | None = None  # what went wrong on it since the last look, as the driver numbers it
    recovered: bool | None = None  # whether the driver wants nothing done to it; None: can't say
    used: int = 0  # bytes of its memory, without what displays use
    processes: tuple[int, ...] = ()  # that compute on it

    @property
    def fatal(self) -> str:
        """Why what runs on it can't go on; empty: it can."""
        return self.broken or (f"{XID} {self.xid}" if self.xid is not None else "")

    @property
    def held(self) -> str:
        """What of its memory is in use, for a person; empty when none is."""
        if not self.processes and self.used <= FLOOR:
            return ""
        return f"{self.used // MIB} MiB still held{_by(self.processes)}"


def quarantine(health: Health, *, before: str = "", since: float = 0.0, idle: bool = False) -> str:
    """Why the GPU is given to nobody; empty: it may be given.

    `before` is what was said `since` seconds ago, and stays said while it is so. `idle` means that
    the platform gave it to nobody when `health` was asked for, so nothing may use it.
    """
    if fault := health.fatal or health.doubt:
        return fault
    if before.startswith(XID) and not _recovered(health, since):
        return before
    if not idle:  # what uses its memory may be whose it is
        return ""
    if (held := health.held) and before.endswith(_held_by(health)):
        return before  # by the same, if not as much
    return held


def _recovered(health: Health, since: float) -> bool:
    return since >= REST if health.recovered is None else health.recovered


def _held_by(health: Health) -> str:
    return f"MiB still held{_by(health.processes)}"


def _by(processes: tuple[int, ...]) -> str:
    several = "es" if len(processes) > 1 else ""
    return f" by process{several} {', '.join(map(str, processes))}" if processes else ""
