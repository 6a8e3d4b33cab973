"""Moments of this machine's life, written down: by a clock that all share and that nobody sets.

The time of day is set forth and back, and what is aged by it lives too long or not long enough.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def life() -> str:
    """Another each time that the machine is started."""
    return BOOT.read_text().strip()


def now() -> str:
    """Not rounded: a moment that is yet to come would be told to be none."""
    return f"{life()}.{time.monotonic()!r}"


def since(moment: str) -> float | None:
    """Seconds; None when that can't be told: it is none, or the machine was started anew."""
    boot, _, at = moment.partition(".")
    try:
        seconds = time.monotonic() - float(at)
    except ValueError:
        return None
    return seconds if boot == life() and seconds >= 0 else None
