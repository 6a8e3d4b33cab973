"""Header fields as bytes (RFC 7541, 6.2.2), without anything that the other end has to remember.

Nothing is ever put into the dynamic table, so a block means the same wherever it is sent.
"""

from __future__ import annotations

from typing import Final

NO_TABLE: Final = b"\x20"  # opens the first block: its dynamic table may be forgotten


def indexed(name: int, value: bytes) -> bytes:
    """A literal without indexing, whose name is in the static table."""
    return integer(name, 4) + integer(len(value), 7) + value


def field(name: bytes, value: bytes) -> bytes:
    return b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value


def integer(value: int, bits: int) -> bytes:
    """RFC 7541, 5.1, with nothing in the bits before."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    made = bytearray((most,))
    value -= most
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
