"""The first process of the namespaces: starts the command, watches it, and ends everything.

Whoever is first in a process namespace takes everybody in it along when it ends.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
from typing import NoReturn

from shared.confine import cgroups, egress, kernel

from . import root
from .spec import HANDED, Ended, Spec, packed
from .watch import EVERY, Watch

FILES = 65536
KEPT = frozenset((0, 1, 3, 4, 5))
"""Capabilities of `own` ids as root: chown, dac_override, fowner, fsetid, kill."""
NICE = 5  # foreign work yields to the platform's
SPARE = 4 << 30  # bytes of one file beyond the limit of a disk, which is seen long before
CANNOT_START = 127


def first(spec: Spec, ours: socket.socket, *, memory: bool) -> NoReturn:
    """`ours` takes the socket of the way out. `memory`: no control group limits memory."""
    found = root.doors(spec)
    folder = os.open(spec.counted or spec.folder, os.O_RDONLY | os.O_DIRECTORY)
    handed = [os.open(path, os.O_RDONLY) for path in spec.handed]
    copies = os.open(f"{spec.folder}/copies", os.O_PATH | os.O_DIRECTORY)
    if spec.ids == "range":
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    kernel.die_with_parent(signal.SIGKILL)  # after that: a change of user forgets it
    socket.sethostname("build")
    env = dict(spec.env)
    if spec.network != "machine":
        kernel.loopback_up()
    if spec.network == "out":
        with egress.door(0) as out:
            socket.send_fds(ours, [b"!"], [out.fileno()])
            env = egress.environment(out.getsockname()[1]) | env
    ours.close()
    root.build(found, copies)
    _attend(spec, Watch(spec.limits, folder, memory=memory), _started(spec, env, handed))


def _started(spec: Spec, env: dict[str, str], handed: list[int]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    process = os.fork()
    if process == 0:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.setsid()
            _limit(spec)
            os.umask(0o022)
            _hand(handed)
            os.chdir(spec.cwd)
            if spec.ids == "own":
                kernel.give_up_privileges(KEPT)
            os.execvpe(spec.command[0], spec.command, env)
        except OSError as error:
            os.write(2, f"cannot start {error.filename}: {error.strerror}\n".encode())
        finally:
            os._exit(CANNOT_START)
    for handle in (0, 1, 2):  # the command's output ends when the command does
        os.dup2(os.open(os.devnull, os.O_RDWR), handle)
    return process


def _hand(files: list[int]) -> None:
    """Put the files where the command looks for them, whatever numbers they have now."""
    apart = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, HANDED + len(files)) for file in files]
    for number, file in enumerate(apart, HANDED):
        os.dup2(file, number)


def _limit(spec: Spec) -> None:
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, spec.limits.disk + SPARE),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_NPROC, spec.limits.processes + 2 * cgroups.SPARE),
    ):
        hard = resource.getrlimit(what)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))
    os.nice(NICE)


def _attend(spec: Spec, watch: Watch, command: int) -> NoReturn:
    while True:
        code = _reaped(command)
        exceeded = watch.exceeded()  # also when it has ended: that may be why
        if exceeded is not None:
            _end(spec, Ended(exceeded))
        if code is not None:
            _end(spec, Ended("exit", code))
        signal.sigtimedwait([signal.SIGCHLD], EVERY)


def _reaped(command: int) -> int | None:
    """Wait for whoever has ended; the command's exit code, when it is among them."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if process == 0:
            return None
        if process == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end(spec: Spec, ended: Ended) -> NoReturn:
    os.write(spec.tell, packed(ended))
    os._exit(0)
