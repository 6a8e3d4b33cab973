"""Which driver speaks to which kind of target: one line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from services.scheduler.driver import Driver
from services.scheduler.drivers.fake import FakeDriver
from shared.blobs import Blobs
from shared.errors import Invalid

Opener = Callable[[Path, Blobs], AbstractAsyncContextManager[Driver]]
"""Takes the platform's folder and the images; closing it leaves what runs running."""


def _process(home: Path, blobs: Blobs) -> AbstractAsyncContextManager[Driver]:
    from services.scheduler.drivers.process import open_process  # only Linux can

    return open_process(home, blobs)


OPENERS: Mapping[str, Opener] = {
    "process": _process,
    "fake": lambda home, blobs: FakeDriver.open(),
}


def open_driver(target: str, home: Path, blobs: Blobs) -> AbstractAsyncContextManager[Driver]:
    """Raises Invalid when there is no driver for `target`."""
    if target not in OPENERS:
        raise Invalid("TARGET", f"is none of {', '.join(OPENERS)}")
    return OPENERS[target](home, blobs)
