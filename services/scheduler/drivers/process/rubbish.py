"""Folders in the making and folders to be thrown away: under names that nobody looks for."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.scheduler.drivers.process import moment
from shared import ids

PARTS = "parts"


def _name() -> str:
    """It says since when it is there."""
    return f"{ids.new('p')}.{moment.now()}"


def age(folder: Path) -> float:
    """Of one below PARTS, in seconds. Raises FileNotFoundError when it is gone."""
    told = moment.since(folder.name.partition(".")[2])
    # else nobody who is at work on it now has made it, but perhaps an earlier release
    return time.time() - folder.stat().st_mtime if told is None else told


@contextmanager
def part(home: Path) -> Iterator[Path]:
    """An empty folder on the same file system, to be moved to its place once it is whole.

    What has not been moved by the end of the block is deleted.
    """
    folder = home / PARTS / _name()
    folder.mkdir()
    try:
        yield folder
    finally:
        if folder.exists():
            delete(folder)


def throw_away(home: Path, folder: Path) -> None:
    """Take `folder` out of sight at once, then delete it."""
    grave = home / PARTS / _name()
    folder.rename(grave)
    delete(grave)


def delete(folder: Path) -> None:
    """With all that is in it, whatever a server did to the modes of its folders."""
    shutil.rmtree(folder, onerror=_open_up)


def _open_up(function: Callable[..., Any], path: str, error: object) -> None:
    for each in (os.path.dirname(path), path):
        if not os.path.islink(each) and os.path.exists(each):
            os.chmod(each, 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
