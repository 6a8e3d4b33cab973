"""Whether a message is made of few enough pieces to be parsed.

A large message is mostly elements that lie side by side, and costs what its bytes cost. One of many
small pieces, each a message or a string of its own, costs many times that in memory, and all the
time it takes to parse it nothing else goes on. So the pieces are counted first, elsewhere.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

SMALL: Final = 1 << 20  # bytes of a message that may be made of whatever it likes
MOST: Final = 1 << 20


async def few(data: bytes, kind: type[Message]) -> bool:
    return len(data) <= SMALL or await asyncio.to_thread(counted, data, kind)


def counted(data: bytes, kind: type[Message], most: int = MOST) -> bool:
    """Whether `data` has no more pieces. What is no message of this kind is for its parser to say.

    Elements that are packed are one piece.
    """
    found = 0
    behind: list[tuple[int, int, dict[int, Descriptor]]] = []
    at, end, inner = 0, len(data), _inner(kind.DESCRIPTOR)
    try:
        while True:
            while at < end:
                found += 1
                if found > most:
                    return False
                tag, at = _varint(data, at)
                match tag & 7:
                    case 0:
                        _, at = _varint(data, at)
                    case 1:
                        at += 8
                    case 5:
                        at += 4
                    case 2:
                        size, at = _varint(data, at)
                        within = inner.get(tag >> 3)
                        if within is None:
                            at += size
                        else:
                            behind.append((at + size, end, inner))
                            end, inner = min(at + size, end), _inner(within)
            if not behind:
                return True
            at, end, inner = behind.pop()
    except IndexError:
        return True


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """
    >>> _varint(bytes([0xAC, 0x02, 0x01]), 0)
    (300, 2)
    """
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    number, shift = byte & 0x7F, 7
    while shift < 64:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number, at


@cache
def _inner(kind: Any) -> dict[int, Descriptor]:
    """What its fields are made of that are messages themselves, by number."""
    return {
        field.number: field.message_type for field in kind.fields if field.message_type is not None
    }
