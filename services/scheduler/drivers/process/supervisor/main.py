"""From the driver's command to a replica that lives on its own.

    driver ── launcher ── supervisor ── init ── server …
              (forks for   (holds the    (first in its namespaces;
               each)        lock)         keeps, forwards, logs)

The supervisor stays on the machine's side and only waits. It holds a lock on `lock` while anything
of the replica may run, so the lock is the proof of life and the kernel tells who holds it. SIGTERM
asks everything to end, SIGQUIT kills it. When the supervisor is killed, the kernel kills init, and
with init its whole PID namespace. Without namespaces supervisor and init are one process.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from contextlib import suppress
from typing import NoReturn

from shared.confine import cgroups, egress, kernel

from . import family, namespaces, root
from .forward import BACKLOG, Forward
from .keeper import Keeper
from .spec import Spec, read

STARTED = b"started"
LONGEST = 4096  # bytes of a path


def stand_by(door: str) -> int:
    """Launch every folder named at the socket `door`, until nobody can name another.

    With each comes a pipe, at which is said how it went.
    """
    asked = socket.socket(fileno=int(door))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel sees its children off
    while True:
        name, passed, _, _ = socket.recv_fds(asked, LONGEST, 1)
        if not name:
            return 0
        (tell,) = passed
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked.close()
            os.write(tell, launch(os.fsdecode(name), tell))
            os._exit(0)
        os.close(tell)


def launch(folder: str, other: int) -> bytes:
    """Start the supervisor of `folder` and return when it runs: STARTED, or what is wrong.

    `other` is a descriptor that is not for the supervisor.
    """
    news, tell = os.pipe()
    if os.fork() == 0:
        os.close(news)
        os.close(other)
        os._exit(_supervise(folder, tell))
    os.close(tell)
    with os.fdopen(news, "rb") as said:
        return said.read() or b"the supervisor ended at once"


def probe(folder: str) -> int:
    """Whether this machine permits what `root` and `namespaces` do: tried, in `folder`."""
    news, tell = os.pipe()
    place = tempfile.mkdtemp(dir=folder)
    for name in ("root", "tmp"):
        os.mkdir(os.path.join(place, name))
    nothing = Spec([], {}, "/", 0, "none", True, "")

    def init() -> None:
        kernel.loopback_up()
        root.build(place, nothing)
        os.write(tell, STARTED)

    process = namespaces.start(init, tell)
    os.close(tell)
    if process:
        os.waitpid(process, 0)
    shutil.rmtree(place)
    with os.fdopen(news, "rb") as said:
        answer = said.read()
    sys.stderr.write(answer.decode("utf-8", "replace"))
    return 0 if answer == STARTED else 1


def _supervise(folder: str, tell: int) -> int:
    try:
        os.setsid()
        lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # it runs already, which is what was wanted
            os.write(tell, STARTED)
            return 0
        _detach(folder)
        spec = read(folder)
        group = cgroups.open_group(spec.limits.memory, spec.limits.processes)
        try:
            (_isolated if spec.isolated else _plain)(folder, spec, tell, group)
        finally:
            group.close()
    except OSError as error:
        traceback.print_exc()
        os.write(tell, str(error).encode())
        return 1
    except BaseException:  # here a program of its own ends: say why, in its own log
        traceback.print_exc()
        return 1
    return 0


def _detach(folder: str) -> None:
    os.chdir("/")
    os.umask(0o022)
    nothing = os.open(os.devnull, os.O_RDWR)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    log = os.open(os.path.join(folder, "supervisor.log"), flags, 0o600)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def _plain(folder: str, spec: Spec, tell: int, group: cgroups.Group) -> None:
    kernel.adopt_orphans()
    signal.signal(signal.SIGQUIT, _kill_and_leave)
    listener, doors = _listen(spec.socket), _doors(folder)
    os.write(tell, STARTED)
    os.close(tell)
    asyncio.run(_keep(spec, doors, listener, group))


def _isolated(folder: str, spec: Spec, tell: int, group: cgroups.Group) -> None:
    listener = _listen(spec.socket)
    news, ready = os.pipe()
    theirs, ours = socket.socketpair()

    def init() -> None:
        os.close(tell)
        os.close(news)
        theirs.close()
        doors = _doors(folder)
        kernel.loopback_up()
        with egress.door(spec.port) as out, ours:
            socket.send_fds(ours, [b"!"], [out.fileno()])
            env = {**egress.environment(out.getsockname()[1]), **spec.env}
        root.build(folder, spec)
        kernel.allow_low_ports()
        os.write(ready, STARTED)
        os.close(ready)
        asyncio.run(_keep(spec._replace(env=env), doors, listener, group))

    process = namespaces.start(init, ready)
    os.close(ready)
    listener.close()
    ours.close()
    if process:
        with open(os.path.join(folder, "init"), "w") as file:
            file.write(namespaces.identity(process))
    with os.fdopen(news, "rb") as said:
        answer = said.read()
    os.write(tell, answer)
    os.close(tell)
    if process and answer == STARTED:
        asyncio.run(_attend(process, theirs))
    if process:
        os.waitpid(process, 0)


async def _attend(process: int, inside: socket.socket) -> None:
    """The supervisor's own work: the way out, until all within has ended."""
    _, (out, *_), _, _ = socket.recv_fds(inside, 1, 1)
    await egress.serve(socket.socket(fileno=out))
    await namespaces.attend(process)


def _doors(folder: str) -> tuple[int, int]:
    """The replica's folder and its log's, open: inside there is no path to them."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    return at, os.open("log", os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)


def _listen(path: str) -> socket.socket:
    with suppress(FileNotFoundError):
        os.unlink(path)  # of a supervisor that was killed; we hold the lock
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


async def _keep(
    spec: Spec, doors: tuple[int, int], listener: socket.socket, group: cgroups.Group
) -> None:
    """The innermost part: here the server's processes are children of this one."""
    forward = Forward(spec.port)
    await forward.open(listener)
    await Keeper(spec, *doors, forward, group).run()


def _kill_and_leave(*_: object) -> NoReturn:
    while family.descendants(os.getpid()):
        family.signal_all(signal.SIGKILL, False)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            break
    os._exit(0)
