"""Which driver speaks to which kind of target: one line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from services.scheduler.driver import Driver
from services.scheduler.drivers.fake import FakeDriver
from shared.blobs import Blobs

Opener = Callable[[Path, Blobs], AbstractAsyncContextManager[Driver]]

OPENERS: Mapping[str, Opener] = {
    "fake": lambda home, blobs: FakeDriver.open(),
}
