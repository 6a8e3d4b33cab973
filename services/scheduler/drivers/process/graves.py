"""The places of replicas that were stopped, kept for a while so that nothing comes to life there.

A scheduler may stand still in the middle of a start, and go on when another has stopped that
replica and given its GPUs away. Where the replica's folder was is then another folder. Of a process
the start's last step, which moves its own folder to that place, is refused by the file system. A
container is made first, and started when no mark is found: a stop marks the place first, and then
removes what was made before.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Final

from services.scheduler.driver import Ended
from services.scheduler.drivers.process.rubbish import part, throw_away

MARK: Final = "ended"
KEPT: Final = 900.0  # seconds: longer than any start, and than anybody stands still


def ended(folder: Path) -> bool:
    return (folder / MARK).exists()


def vet(folder: Path) -> None:
    """Raises Ended when the replica whose place this is was stopped."""
    if ended(folder):
        raise Ended(f"replica {folder.name} was stopped")


def bury(home: Path, folder: Path) -> bool:
    """Mark its place. False when something has been put there meanwhile, which has to end first."""
    with part(home) as grave:
        (grave / MARK).touch()
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
        try:
            if time.time() - (folder / MARK).stat().st_mtime > KEPT:
                throw_away(home, folder)
        except FileNotFoundError:  # it is alive, or somebody else was quicker
            continue
