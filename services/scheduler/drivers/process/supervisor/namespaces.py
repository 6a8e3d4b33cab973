"""A process tree with its own users, mounts, process ids, IPC and network, and its first process.

The first process is a child of the supervisor, which stays outside: a process in between enters the
namespaces, forks once and ends, and its orphan falls to the supervisor. Whoever is first in a PID
namespace takes everybody in it along when it ends, however they forked or hid.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import traceback
from collections.abc import Callable
from typing import NoReturn

from shared.confine import kernel

OWN = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWNS
)


def start(init: Callable[[], None], tell: int) -> int:
    """Run `init` as the first process of new namespaces; its process id on this side.

    0 when there can be none; what goes wrong on the way in is written to `tell`, for a person.
    """
    kernel.adopt_orphans()
    told, number = os.pipe()
    go, held = os.pipe()  # the kernel closes `held` when this process ends
    between = os.fork()
    if between == 0:
        os.close(held)
        _enter(init, tell, number, go)
    os.close(number)
    os.close(go)
    with os.fdopen(told, "rb") as said:
        answer = said.read()
    os.waitpid(between, 0)
    if answer:
        os.write(held, b"!")
    return int(answer or b"0")


def _enter(init: Callable[[], None], tell: int, number: int, go: int) -> NoReturn:
    try:
        user, group = os.getuid(), os.getgid()
        kernel.unshare(OWN)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        first = os.fork()
        if first:
            os.write(number, str(first).encode())
        else:
            os.close(number)
            _first(init, go)
    except OSError as error:
        os.write(tell, f"no namespaces here: {error}".encode())
    except BaseException:
        traceback.print_exc()
        os.write(tell, b"its first process failed, see supervisor.log")
    finally:
        os._exit(0)


def _first(init: Callable[[], None], go: int) -> None:
    """`go` says that the supervisor is the parent now, and ends when the supervisor does."""
    if not os.read(go, 1):
        return
    kernel.die_with_parent(signal.SIGKILL)
    if not select.select([go], [], [], 0)[0]:
        init()


def identity(process: int) -> str:
    """A process's id and start: no other process ever has both."""
    with open(f"/proc/{process}/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    return f"{process} {fields[19].decode()}"


async def attend(process: int) -> None:
    """Wait for the end of `process`, and pass on what the supervisor is told."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, os.kill, process, signal.SIGTERM)
    loop.add_signal_handler(signal.SIGQUIT, os.kill, process, signal.SIGKILL)
    ended = asyncio.Event()
    handle = os.pidfd_open(process)
    loop.add_reader(handle, ended.set)
    await ended.wait()
    loop.remove_reader(handle)
