"""Whether a replica lives, and how to signal it without ever hitting a stranger.

The supervisor's record lock on `lock` tells who it is; `init` names the first process of the
replica's namespaces, which may outlive a killed supervisor by a moment.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.scheduler.drivers.process.spec import MARK

FLOCK: Final = "hhqqi4x"  # struct flock: type, whence, start, length, process


def supervisor(folder: Path) -> int | None:
    """The process that holds the replica's lock, or None when nobody does."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, process = struct.unpack(FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    finally:
        os.close(lock)
    return None if kind == fcntl.F_UNLCK else process


def init(folder: Path) -> int | None:
    """The first process of the replica's namespaces, or None when it has ended."""
    try:
        known = (folder / "init").read_text()
        process = int(known.split()[0])
        stat = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except (OSError, ValueError, IndexError):
        return None
    started = stat[19].decode()
    return process if known.split()[1] == started and stat[0] != b"Z" else None


def lives(folder: Path) -> bool:
    """Whether anything of it may still run."""
    return supervisor(folder) is not None or init(folder) is not None


def tell(folder: Path, number: signal.Signals) -> None:
    """Signal the supervisor; what is left of a replica without one is killed."""
    if not _signal(supervisor, folder, number):
        _signal(init, folder, signal.SIGKILL)


def kill_strays(folder: Path) -> bool:
    """Kill what a killed supervisor left where no namespace held it. True while there was any."""
    mark = os.fsencode(f"{MARK}={folder}")
    found = False
    for name in os.listdir("/proc"):
        if name.isdigit() and _marked(int(name), mark):

            def still(_: Path, process: int = int(name)) -> int | None:
                return process if _marked(process, mark) else None

            found = _signal(still, folder, signal.SIGKILL) or found
    return found


def _marked(process: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:  # ended, or somebody else's
        return False


def _signal(find: Callable[[Path], int | None], folder: Path, number: signal.Signals) -> bool:
    process = find(folder)
    if process is None:
        return False
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return False
    try:
        if find(folder) == process:  # still the same, so the handle means it and no later one
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
    return True
