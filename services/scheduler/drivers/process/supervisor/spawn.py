"""One life of a server: the step from our process into what the image runs."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from typing import NoReturn

from shared.confine import kernel
from shared.confine.cgroups import SPARE, Group

from .backoff import CAN_NEVER_START
from .spec import Spec

FILES = 65536
SOONER = 500  # when memory runs out, the kernel ends a replica rather than the platform
COUNTS = (5, 14)
"""From this Linux on a user's processes are counted in each namespace by itself; before, all of his
on the machine. Root's are not limited in that way."""
BEYOND = (
    4 << 30
)  # bytes of one file beyond the limit of the disk, which is seen before where it can
CAPABILITIES = frozenset((0, 1, 3, 4, 5, 6, 7, 8, 10, 18))
"""What root keeps inside: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
net_bind_service, sys_chroot. Nothing that could undo a mount. Others than root keep none."""


def spawn(spec: Spec, stdout: int, stderr: int, group: Group) -> int:
    """Start the server in a session of its own, and in `group`; its process id."""
    process = os.fork()
    if process == 0:
        try:
            group.add(0)
            _become(spec, stdout, stderr)
        except OSError as error:
            _give_up(error)
        finally:
            os._exit(CAN_NEVER_START)
    return process


def _become(spec: Spec, stdout: int, stderr: int) -> NoReturn:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    os.setsid()
    kernel.die_with_parent(signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, FILES)
    if spec.limits.disk:
        _limit(resource.RLIMIT_FSIZE, spec.limits.disk + BEYOND, for_good=True)
    if spec.limits.processes and spec.isolated and kernel.release() >= COUNTS:
        _limit(resource.RLIMIT_NPROC, spec.limits.processes + 2 * SPARE, for_good=True)
    _end_sooner()
    os.umask(0o022)
    os.chdir(spec.cwd)
    if spec.isolated:
        kernel.give_up_privileges(CAPABILITIES)
    os.execvpe(spec.argv[0], spec.argv, spec.env)


def _limit(what: int, most: int, *, for_good: bool = False) -> None:
    hard = resource.getrlimit(what)[1]
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (allowed, allowed if for_good else hard))


def _end_sooner() -> None:
    path = "/proc/self/oom_score_adj"
    with suppress(OSError):
        with open(path) as score:
            now = int(score.read())
        with open(path, "w") as score:
            score.write(str(max(now, SOONER)))


def _give_up(error: OSError) -> None:
    what = error.filename.decode() if isinstance(error.filename, bytes) else error.filename
    os.write(2, f"slipway: cannot start {what}: {error.strerror}\n".encode())
