"""The folder of one running builder, and what it leaves of those that died.

Each builder locks a folder of its own under the work folder. The lock goes with the process, so at
its start a builder removes every folder that nobody holds.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from shared import ids

log = logging.getLogger(__name__)

LOCK: Final = "lock"
PREFIX: Final = "run-"
PATIENCE: Final = 5.0  # seconds


@contextmanager
def ground(work: Path) -> Iterator[Path]:
    """A folder that is ours while this process lives; what dead builders left is gone."""
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    sweep(work)
    own = work / ids.new(PREFIX)
    own.mkdir(mode=0o700)
    lock = os.open(own / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(lock)


def clear(folder: Path) -> None:
    """Remove a folder, also while a thread of ours that nobody can end yet writes into it."""
    until = time.monotonic() + PATIENCE
    aside = folder.with_name(f"{folder.name}-cleared")
    with suppress(OSError):
        folder.rename(aside)  # where the thread does not find it any more
        folder = aside
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        if time.monotonic() > until:
            log.warning("%s is left until the builder ends", folder)
            return
        time.sleep(0.02)


def sweep(work: Path) -> None:
    """Remove the folders whose builders are dead."""
    for folder in work.glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else sweeps it too
            _remove_if_dead(folder)


def _remove_if_dead(folder: Path) -> None:
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
