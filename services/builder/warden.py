"""Runs one command that is not trusted to end, and takes everything it started down with it.

Started as `python -I -S warden.py SECONDS FILE_BYTES COMMAND…` with a pipe as standard input. The
command gets a session of its own and limits. When it ends, when SECONDS are over or when
the pipe closes (the builder asked, or died), every process that descends from it is killed, also
one that made itself a daemon: this process is their reaper, so none of them gets away from it.
Exits with the command's code, with 128 and the signal, or with 124 when the time was over.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

OVER = 124
STOPPED = 143
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def limits(seconds: int, file_bytes: int) -> None:
    """In the command's process, before it begins."""
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    os.umask(0o022)


def children() -> list[int]:
    """Of this process, whatever session or group they moved to."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if parent == os.getpid():
                found.append(int(name))
    return found


def kill_all(command: int) -> None:
    """Until the command alone is left, dead: who loses its parent becomes our child and is next.

    The command is not reaped here, so that its number is not given anew while we kill by it.
    """
    while True:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(command, signal.SIGKILL)
        others = [child for child in children() if child != command]
        if not others and os.waitid(os.P_PID, command, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return
        for child in others:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
        time.sleep(0.002)


def outcome(process: subprocess.Popen[bytes], seconds: int) -> int | None:
    """OVER or STOPPED, or None when the command ended by itself. Nothing is reaped yet."""
    ended = os.pidfd_open(process.pid)
    try:
        ready, _, _ = select.select([ended, 0], [], [], seconds)
    finally:
        os.close(ended)
    if ended in ready:
        return None
    return STOPPED if ready else OVER


def main() -> int:
    seconds, file_bytes, *command = sys.argv[1:]
    adopt_orphans()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: limits(int(seconds), int(file_bytes)),
    )
    cut_short = outcome(process, int(seconds))
    kill_all(process.pid)
    code = process.wait()
    return cut_short or (code if code >= 0 else 128 - code)


if __name__ == "__main__":
    sys.exit(main())
