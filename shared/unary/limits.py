"""What one channel may come to hold and do."""

from __future__ import annotations

from typing import Final

import msgspec

MIB: Final = 1 << 20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    message: int = 257 * MIB  # bytes of one answer
    held: int = 512 * MIB  # bytes of unfinished answers; beyond, they come one after the other
    at_once: int = 256  # calls that the server works on; more wait for their turn
    calls: int = 1 << 30  # in the life of the channel: HTTP/2 has no more numbers for them
