"""The header blocks of answers, as bytes that mean the same wherever they are sent."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote

from shared.unary.literals import field, indexed
from shared.unary.serving.refused import Refused

TEXT: Final = 6 << 10  # bytes of grpc-message; clients take 8 KiB of all that is said at the end

_STATUS, _CONTENT_TYPE = 8, 31  # in the static table
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

HEAD: Final = b"\x88" + indexed(_CONTENT_TYPE, b"application/grpc")
"""Of an answer whose message follows."""
DONE: Final = field(b"grpc-status", b"0")
"""After the message."""


def refusal(refused: Refused) -> bytes:
    """All of an answer that has no message."""
    said = HEAD + field(b"grpc-status", b"%d" % refused.code)
    if refused.text:
        said += field(b"grpc-message", percent(refused.text))
    for name, value in refused.metadata:
        said += field(name.encode("ascii"), value.encode("ascii"))
    return said


@lru_cache(maxsize=16)
def http(status: int) -> bytes:
    """All of an answer to what is no call."""
    return indexed(_STATUS, b"%d" % status)


def percent(text: str) -> bytes:
    """As grpc-message has it; what is too long is cut."""
    text = text[:TEXT]
    made = quote(text, safe=_PLAIN, errors="replace")
    while len(made) > TEXT:
        text = text[: len(text) * TEXT // len(made) - 1]
        made = quote(f"{text}…", safe=_PLAIN, errors="replace")
    return made.encode("ascii")
