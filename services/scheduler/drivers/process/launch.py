"""Starts supervisors, each on its own: they outlive whoever started them.

Importing what a supervisor needs takes longer than all else that it does before its server starts.
So one process, the launcher, imports it once and then forks for each replica. It has nothing to
lose: it ends with us, and when it was killed another takes its place.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared import confine
from shared.errors import Transient

HERE: Final = Path(__file__).parent
FLOOR: Final = Path(confine.__file__).parents[2]
PROGRAM: Final = (
    "import sys; sys.path += sys.argv[1:3]; "
    "from supervisor import main; sys.exit(getattr(main, sys.argv[3])(*sys.argv[4:]))"
)
ENVIRONMENT: Final = {"PATH": os.defpath}
STARTED: Final = b"started"  # as supervisor/main.py says it
LONGEST: Final = 30.0


def interpreter() -> str:
    """The machine's Python, not the platform's virtual environment."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _command(function: str, *arguments: str) -> list[str]:
    return [interpreter(), "-I", "-S", "-c", PROGRAM, str(HERE), str(FLOOR), function, *arguments]


def probe(home: Path) -> str | None:
    """Whether this machine permits namespaces in `home`: None, or what was wrong. Blocks."""
    try:
        done = subprocess.run(
            _command("probe", str(home)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd="/",
            timeout=LONGEST,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Transient(f"cannot start a process: {error}") from error
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "ended"


class Launcher:
    """Our end of it. Its methods block, so they belong into threads; any number may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._door: socket.socket | None = None

    def launch(self, folder: Path) -> str | None:
        """Start the supervisor of `folder`: None, or what was wrong. Must not be cancelled."""
        told, tell = os.pipe()
        try:
            try:
                self._ask(folder, tell)
            finally:
                os.close(tell)
            said = _read(told, LONGEST)
        except OSError as error:  # TimeoutError is one
            raise Transient(f"cannot start a process: {error}") from error
        finally:
            os.close(told)
        return None if said == STARTED else said.decode(errors="replace").strip() or "ended"

    def warm(self) -> None:
        """Start it ahead of the first replica."""
        with self._lock, suppress(OSError):
            self._opened()

    def close(self) -> None:
        with self._lock:
            self._end()

    def _ask(self, folder: Path, tell: int) -> None:
        with self._lock:
            for last in (False, True):
                try:
                    socket.send_fds(self._opened(), [os.fsencode(folder)], [tell])
                except (BrokenPipeError, ConnectionResetError):  # it was killed
                    self._end()
                    if last:
                        raise
                else:
                    return

    def _opened(self) -> socket.socket:
        if self._door is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    _command("stand_by", str(theirs.fileno())),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=ENVIRONMENT,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # a Ctrl-C is for us, who may still have starts in hand
                )
            self._door = ours
        return self._door

    def _end(self) -> None:
        if self._door is not None:
            self._door.close()
        if self._process is not None:
            self._process.wait()  # it ends when nobody can ask it for anything
        self._door = self._process = None


def _read(pipe: int, within: float) -> bytes:
    """All that is said before the other end is closed. Raises TimeoutError."""
    said, deadline = b"", time.monotonic() + within
    while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            return said
        said += chunk
    raise TimeoutError("it says nothing")
