"""The places of replicas that were stopped, kept for a while so that nothing comes to life there.

A scheduler may stand still in the middle of a start, and go on when another has stopped that
replica and given its GPUs away. Where the replica's folder was is then another folder. Of a process
the start's last step, which moves its own folder to that place, is refused by the file system. A
container is made first, and started when no mark is found: a stop marks the place first, and then
removes what was made before. A mark says when it was made, by a clock that does not jump.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.scheduler.driver import Ended
from services.scheduler.drivers.process import moment
from services.scheduler.drivers.process.rubbish import part, throw_away
from shared.errors import Transient

MARK: Final = "ended"
KEPT: Final = 900.0  # seconds: longer than any start, and than anybody stands still
START: Final = KEPT / 2  # seconds after which a start begins anew: its mark may be gone soon


def ended(folder: Path) -> bool:
    return (folder / MARK).exists()


def vet(folder: Path, began: float) -> None:
    """Raises Ended when the replica whose place this is was stopped since its start `began`, by
    time.monotonic(), and Transient when that is too long ago to say."""
    if ended(folder):
        raise Ended(f"replica {folder.name} was stopped")
    if time.monotonic() - began > START:
        raise Transient(f"the start of {folder.name} took long: it begins anew")


def bury(home: Path, folder: Path) -> bool:
    """Mark its place. False when something has been put there meanwhile, which has to end first."""
    with part(home) as grave:
        (grave / MARK).write_text(moment.now())
        try:
            grave.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return ended(folder)
    return True


def forget(home: Path, replicas: Path) -> None:
    """Let old marks go."""
    with os.scandir(replicas) as entries:
        folders = [Path(entry.path) for entry in entries]
    for folder in folders:
        with suppress(FileNotFoundError):  # it is alive, or somebody else was quicker
            age = moment.since((folder / MARK).read_text())
            if age is None:  # of an earlier release, or from before the machine was started anew
                _renew(home, folder / MARK)
            elif age > KEPT:
                throw_away(home, folder)


def _renew(home: Path, mark: Path) -> None:
    with part(home) as folder:
        (folder / MARK).write_text(moment.now())
        (folder / MARK).replace(mark)
