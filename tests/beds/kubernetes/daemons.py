"""Processes that outlive who started them: each with a log and a note of which process it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.beds.kubernetes.place import RUN

GRACE: Final = 10.0  # seconds from SIGTERM to SIGKILL


class NotUp(Exception):
    """Something did not come up; the message says what, and the end of its log."""


def start(name: str, command: Sequence[str], **environment: str) -> None:
    """Unless it runs."""
    if pid(name) is not None:
        return
    with log(name).open("ab") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    _note(name).write_text(f"{process.pid} {_began(process.pid)}")
    # it outlives us, but must not stay about as a zombie when it ends first
    threading.Thread(target=process.wait, daemon=True).start()


def stop(name: str, how: signal.Signals = signal.SIGTERM) -> None:
    """And wait until it is gone; that it does not run is fine."""
    if (process := pid(name)) is None:
        return
    gone = suppress(NotUp, ProcessLookupError)  # it may end at any moment
    with gone:
        send(name, how)
        if how is not signal.SIGKILL:
            send(name, signal.SIGCONT)
    deadline = time.monotonic() + GRACE
    while pid(name) is not None:
        with suppress(ChildProcessError):  # where we started it ourselves
            os.waitpid(process, os.WNOHANG)
        if time.monotonic() > deadline:
            with gone:
                send(name, signal.SIGKILL)
        time.sleep(0.02)
    _note(name).unlink(missing_ok=True)


def send(name: str, what: signal.Signals) -> None:
    process = pid(name)
    if process is None:
        raise NotUp(f"{name} does not run")
    os.kill(process, what)


def pid(name: str) -> int | None:
    """Of the process that was started under this name, if it still is."""
    with suppress(OSError, ValueError):
        number, began = _note(name).read_text().split()
        if _began(int(number)) == began:
            return int(number)
    return None


def pids() -> dict[str, int]:
    names = sorted(note.stem for note in RUN.glob("*.pid"))
    return {name: found for name in names if (found := pid(name)) is not None}


def until(what: str, true: Callable[[], bool], *, within: float = 90) -> None:
    """Wait for it. Raises NotUp with the end of `what`'s log when it does not come."""
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise NotUp(f"{what} did not come up within {within:.0f} s\n{_end(what)}")
        time.sleep(0.1)


def log(name: str) -> Path:
    return RUN / f"{name}.log"


def _note(name: str) -> Path:
    return RUN / f"{name}.pid"


def _end(name: str) -> str:
    return log(name).read_text(errors="replace")[-2000:] if log(name).exists() else ""


def _began(process: int) -> str:
    """When, in the kernel's ticks; raises OSError when it is gone, or only waited for."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(process)
    return fields[19]


def say(text: str) -> None:
    print(f"setup: kubernetes: {text}", file=sys.stderr, flush=True)
