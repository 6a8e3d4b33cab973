"""Limits that the kernel keeps for a whole tree of processes, where we may set them.

Both generations of control groups are used as they are found. Where there are none that we may
write, somebody has to look now and then (`used.py`).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Literal, NamedTuple

Limit = Literal["memory", "processes"]

NAME = "slipway-"
ROOT = "/sys/fs/cgroup"
SPARE = 32  # processes beyond the limit: enough to see that there are too many
EVENTS: tuple[tuple[str, str, Limit], ...] = (
    ("memory.events", "oom_kill", "memory"),
    ("memory.oom_control", "oom_kill", "memory"),
    ("pids.events", "max", "processes"),
)


class Group(NamedTuple):
    """Folders of one tree of processes: one for each controller that keeps a limit.

    They are open, too, so that a process can join where they have no path any more.
    """

    folders: tuple[str, ...]
    handles: tuple[int, ...]
    keeps_memory: bool

    def add(self, process: int) -> None:
        """0 is whoever calls."""
        for handle in self.handles:
            _write("cgroup.procs", str(process), handle)

    def refused(self) -> dict[Limit, int]:
        """How often the kernel refused memory or a process: killed for it, or could not be made."""
        found: dict[Limit, int] = {}
        for name, event, limit in EVENTS:
            for handle in self.handles:
                times = _numbers(name, handle).get(event, 0)
                found[limit] = max(times, found.get(limit, 0))
        return found

    def exceeded(self) -> Limit | None:
        """Whether it ever did."""
        return next((limit for limit, times in self.refused().items() if times), None)

    def close(self) -> None:
        """Of a tree that has ended; the kernel may take a moment to see it."""
        for handle in self.handles:
            os.close(handle)
        for folder in self.folders:
            for _ in range(200):
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break


def open_group(memory: int, processes: int) -> Group:
    """A group with these limits, as far as they can be set; 0 is none. What is left of groups whose
    maker is dead goes."""
    wanted = {
        "memory": {
            "memory.max": memory,
            "memory.swap.max": 0,
            "memory.limit_in_bytes": memory,
            "memory.memsw.limit_in_bytes": memory,
        },
        "pids": {"pids.max": processes + SPARE},
    }
    asked = {"memory": memory, "pids": processes}
    made: dict[str, str] = {}
    for controller, parent in _parents().items():
        _sweep(parent)
        if not asked[controller]:
            continue
        folder = f"{parent}/{NAME}{os.getpid()}"
        with suppress(OSError):
            os.mkdir(folder)
        done = [
            _write(f"{folder}/{name}", str(value)) for name, value in wanted[controller].items()
        ]
        if any(done):
            made[controller] = folder
        else:
            with suppress(OSError):
                os.rmdir(folder)
    folders = tuple(dict.fromkeys(made.values()))
    handles = tuple(os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in folders)
    return Group(folders, handles, "memory" in made)


def _parents() -> dict[str, str]:
    """Where our own groups are, for each controller that we use."""
    found = {}
    with suppress(OSError), open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in ("memory", "pids"):
                if controller in controllers.split(","):
                    found[controller] = f"{ROOT}/{controllers}{path}".rstrip("/")
                elif not controllers:
                    found.setdefault(controller, f"{ROOT}{path}".rstrip("/"))
    return {controller: path for controller, path in found.items() if os.access(path, os.W_OK)}


def _sweep(parent: str) -> None:
    for name in os.listdir(parent):
        process = name.removeprefix(NAME)
        if name.startswith(NAME) and not os.path.exists(f"/proc/{process}"):
            with suppress(OSError):  # not empty yet, or somebody else's
                os.rmdir(f"{parent}/{name}")


def _write(path: str, text: str, folder: int | None = None) -> bool:
    """False where there is no such file, or it does not take that."""
    try:
        file = os.open(path, os.O_WRONLY, dir_fd=folder)
    except OSError:
        return False
    try:
        os.write(file, text.encode())
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def _numbers(path: str, folder: int) -> dict[str, int]:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY, dir_fd=folder)) as file:
            words = [line.split() for line in file]
    except OSError:
        return {}
    return {word[0]: int(word[1]) for word in words if len(word) == 2}
