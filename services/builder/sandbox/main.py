"""The program on the machine's side: it holds the sandbox, and the sandbox ends with it.

Its standard input is a line with the Spec, and then a pipe that stays open for as long as anybody
wants the result. At `spec.tell` it says how it ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from shared.confine import cgroups, egress, kernel

from . import gates, ids, inside
from .spec import Ended, Spec, packed, spec
from .spec import ended as heard

LOOK_EVERY = 0.2  # seconds between two looks whether the kernel refused something
OWN = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWUTS
)


def main() -> int:
    asked = spec(sys.stdin.buffer.readline())
    try:
        ended = _run(asked)
    except OSError as error:
        ended = Ended("broken", why=f"no sandbox here: {error}")
    os.write(asked.tell, packed(ended))
    return 0


def _run(asked: Spec) -> Ended:
    kernel.adopt_orphans()
    ids.give(asked.folder, asked.ids)
    for name in ("tmp", "copies"):
        os.mkdir(f"{asked.folder}/{name}")
        ids.give(f"{asked.folder}/{name}", asked.ids)
    os.chmod(f"{asked.folder}/tmp", 0o1777)
    for place in asked.places:
        if place.mode == "write":
            ids.give(place.source, asked.ids)
    group = cgroups.open_group(asked.limits.memory, asked.limits.processes)
    try:
        return _held(asked, group)
    finally:
        group.close()


def _held(asked: Spec, group: cgroups.Group) -> Ended:
    told, tell = os.pipe()
    theirs, ours = socket.socketpair()
    with theirs:
        process, go = _enter(asked._replace(tell=tell), ours, theirs, group)
        ours.close()
        os.close(tell)
        cut_short = asyncio.run(_attend(asked, process, go, theirs, group)) if process else None
    if process:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    with os.fdopen(told, "rb") as said:
        ended = heard(said.readline())
    exceeded = group.exceeded()
    return Ended(exceeded) if exceeded else cut_short or ended


def _enter(
    asked: Spec, ours: socket.socket, theirs: socket.socket, group: cgroups.Group
) -> tuple[int, int]:
    """The id of the first process inside, and what lets it go on while it is open; 0 for none."""
    told, number = os.pipe()
    mapped, mapping = os.pipe()
    go, held = os.pipe()
    between = os.fork()
    if between == 0:
        for handle in (told, mapping, held):
            os.close(handle)
        theirs.close()
        _between(asked, ours, number, mapped, go, memory=not group.keeps_memory)
    for handle in (number, mapped, go):
        os.close(handle)
    with os.fdopen(told, "rb", buffering=0) as said:
        try:
            if said.read(1):  # it is in a new user namespace
                group.add(between)
                ids.write(between, asked.ids)
                os.write(mapping, b"!")
        finally:
            os.close(mapping)
        answer = said.read()
    os.waitpid(between, 0)
    return int(answer or b"0"), held


def _between(
    asked: Spec, ours: socket.socket, number: int, mapped: int, go: int, *, memory: bool
) -> NoReturn:
    """Enter the namespaces, leave one process there and end: its orphan falls to our parent."""
    try:
        kernel.unshare(OWN | (0 if asked.network == "machine" else kernel.CLONE_NEWNET))
        os.write(number, b"!")
        if os.read(mapped, 1):
            first = os.fork()
            if first:
                os.write(number, str(first).encode())
            else:
                os.close(number)
                if os.read(go, 1):
                    inside.first(asked, ours, memory=memory)
    except OSError as error:
        _say(asked.tell, f"no sandbox here: {error}")
    except BaseException:
        traceback.print_exc()
        _say(asked.tell, "its first process failed")
    finally:
        os._exit(0)


def _say(tell: int, why: str) -> None:
    os.write(tell, packed(Ended("broken", why=why)))


async def _attend(
    asked: Spec, process: int, go: int, inside: socket.socket, group: cgroups.Group
) -> Ended | None:
    """Let it go on and wait for its end: None, or why it is to be ended."""
    loop = asyncio.get_running_loop()
    end: asyncio.Future[Ended | None] = loop.create_future()

    def finish(how: Ended | None) -> None:
        if not end.done():
            end.set_result(how)

    handle = os.pidfd_open(process)
    loop.add_reader(handle, finish, None)
    loop.add_reader(0, finish, Ended("stopped"))
    over = loop.call_later(asked.limits.seconds, finish, Ended("seconds"))
    looking = asyncio.create_task(_look(group, finish))
    os.write(go, b"!")
    out = asyncio.create_task(_way_out(asked, inside))
    try:
        return await end
    finally:
        over.cancel()
        for task in (looking, out):
            task.cancel()
        await asyncio.gather(looking, out, return_exceptions=True)
        for descriptor in (handle, 0):
            loop.remove_reader(descriptor)
        os.close(handle)


async def _look(group: cgroups.Group, finish: Callable[[Ended], None]) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY)
        exceeded = group.exceeded()
        if exceeded:
            finish(Ended(exceeded))


async def _way_out(asked: Spec, inside: socket.socket) -> None:
    """Serve the proxy whose socket was made inside, until cancelled."""
    if asked.network != "out":
        return
    inside.setblocking(False)
    ready = asyncio.Event()
    asyncio.get_running_loop().add_reader(inside, ready.set)
    try:
        await ready.wait()
    finally:
        asyncio.get_running_loop().remove_reader(inside)
    _, handles, _, _ = socket.recv_fds(inside, 1, 1)
    if handles:
        door = socket.socket(fileno=handles[0])
        guard, through = gates.guard(asked.gates), gates.through(asked.proxies)
        async with await egress.serve(door, guard, through) as server:
            await server.serve_forever()
