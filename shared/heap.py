"""What glibc's malloc does with memory that is free again.

Left alone, it gives the end of the heap back to the system once a few megabytes of it are free. A
process that takes and frees some megabytes for each request pays for that with every request: pages
that were given back are faulted in and zeroed again, a thousand of them in 2 to 4 ms. See
mallopt(3); the settings there also switch off that it learns them by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3

KEPT: Final = 64 << 20  # bytes free at the end of the heap that stay with the process
MAPPED: Final = 16 << 20  # bytes of a block from which it lies beside the heap, and goes at once


def keep(kept: int = KEPT, mapped: int = MAPPED) -> None:
    """For all of this process. Another C library than glibc stays as it is."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, kept)
        mallopt(M_MMAP_THRESHOLD, mapped)
