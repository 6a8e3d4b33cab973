"""The folder of a replica on the platform's side: its numbered lines, and what is known of it.

log/         numbered lines, as process/logbook.py reads them     lock         whose holder writes
life.json    see life.py

Lines carry the place in the engine's log that they came from. So whoever goes on after a crash,
at any line of ours, neither loses nor doubles one.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from services.scheduler.drivers.container.cursor import Cursor, cursor, moment
from services.scheduler.drivers.container.life import Life
from services.scheduler.drivers.process.supervisor.output import Output

LOST = "some of its output was lost: the engine kept no more while nobody collected it"


class Lines(Output):
    """Lines that are stamped, and their rate measured, by the engine's clock, not by ours."""

    def __init__(self, folder: int, container: str) -> None:
        self.moment = 0.0
        self.cursor = Cursor()
        self._container = container
        super().__init__(folder)

    def come_to(self, at: datetime, place: Cursor) -> None:
        """What is fed next was printed then, and comes from there."""
        self.moment, self.cursor = max(self.moment, at.timestamp()), place

    def end_line(self, stream: str) -> None:
        """A life is over: what it began to print is a line, too."""
        self._keep([(stream, self._parts[stream])] if self._parts[stream] else [])
        self._parts[stream], self._cutting[stream] = b"", False

    def settle(self) -> None:
        self.moment = max(self.moment, time.time())
        super().settle()

    @property
    def pending(self) -> bool:
        return any(self._parts.values())

    def now(self) -> float:
        return self.moment

    def stamp(self) -> dict[str, str]:
        at = moment(self.cursor.at).isoformat() if self.cursor.at else super().stamp()["at"]
        return {"at": at, "of": self._container, "seen": str(self.cursor)}


class Spool:
    """Open for writing; only one process at a time can have it so."""

    def __init__(self, folder: Path, lock: int, container: str) -> None:
        self._folder = folder
        self._lock = lock
        self._container = container
        self._log = os.open(folder / "log", os.O_RDONLY | os.O_DIRECTORY)
        self.lines = Lines(self._log, container)

    @classmethod
    def open(cls, folder: Path, container: str) -> Spool | None:
        """For the output of `container`. None when somebody else writes there."""
        (folder / "log").mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(folder, lock, container)
        except BlockingIOError:
            os.close(lock)
            return None

    def close(self) -> None:
        os.close(self._log)
        os.close(self._lock)

    def write(self, life: Life) -> None:
        """A full disk must not end anything: what is not told now is told with the next change."""
        new = self._folder / "life.new"
        with suppress(OSError):
            new.write_bytes(msgspec.json.encode(life))
            new.rename(self._folder / "life.json")

    def resume(self, life: Life) -> Cursor:
        """From where the engine's log is to be read on."""
        places = [cursor(life.seen), last_place(self._folder / "log", self._container)]
        return max(places, key=lambda place: place.key)


def read(folder: Path) -> Life | None:
    """What is known of a replica; None when nothing is, yet, or a power cut tore it."""
    try:
        return msgspec.json.decode((folder / "life.json").read_bytes(), type=Life)
    except (OSError, ValueError):
        return None


def last_place(log: Path, container: str) -> Cursor:
    """Where the last whole line came from; the beginning, if that was another container's log."""
    for file in sorted(log.iterdir(), reverse=True):
        for line in reversed(file.read_bytes().split(b"\n")[:-1]):
            with suppress(ValueError):
                found: Any = json.loads(line)
                ours = found.get("of") == container
                return cursor(str(found.get("seen", ""))) if ours else Cursor()
    return Cursor()
