"""Limits that the kernel keeps for a whole tree of processes, where we may set them.

Both generations of control groups are used as they are found. Where there are none that we may
write, `watch.py` alone looks after memory and processes, from inside.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import NamedTuple

from .spec import End

NAME = "slipway-"
ROOT = "/sys/fs/cgroup"
SPARE = 32  # processes beside the command's own: enough to see that there are too many
EVENTS: tuple[tuple[str, str, End], ...] = (
    ("memory.events", "oom_kill", "memory"),
    ("memory.oom_control", "oom_kill", "memory"),
    ("pids.events", "max", "processes"),
)


class Group(NamedTuple):
    """Folders of one tree of processes: one for each controller that keeps a limit."""

    folders: tuple[str, ...]
    keeps_memory: bool

    def add(self, process: int) -> None:
        for folder in self.folders:
            _write(f"{folder}/cgroup.procs", str(process))

    def exceeded(self) -> End | None:
        """Whether the kernel refused memory or a process: killed for it, or could not be made."""
        for name, event, end in EVENTS:
            for folder in self.folders:
                if _numbers(f"{folder}/{name}").get(event, 0) > 0:
                    return end
        return None

    def close(self) -> None:
        """Of a tree that has ended; the kernel may take a moment to see it."""
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
    """A group with these limits, as far as they can be set. Leftovers of dead sandboxes go."""
    wanted = {
        "memory": {
            "memory.max": memory,
            "memory.swap.max": 0,
            "memory.limit_in_bytes": memory,
            "memory.memsw.limit_in_bytes": memory,
        },
        "pids": {"pids.max": processes + SPARE},
    }
    made: dict[str, str] = {}
    for controller, parent in _parents().items():
        _sweep(parent)
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
    return Group(tuple(dict.fromkeys(made.values())), "memory" in made)


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


def _write(path: str, text: str) -> bool:
    if not os.path.exists(path):
        return False
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError:
        return False
    return True


def _numbers(path: str) -> dict[str, int]:
    try:
        with open(path) as file:
            words = [line.split() for line in file]
    except OSError:
        return {}
    return {word[0]: int(word[1]) for word in words if len(word) == 2}
