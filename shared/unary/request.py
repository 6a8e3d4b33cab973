"""The header block of a call, as bytes: the part that is the same for all calls is made once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from shared.unary.literals import field, indexed

Metadata = Sequence[tuple[bytes, bytes]]

LONGEST: Final = 1 << 13  # bytes of a block; servers commonly take 8 KiB

_POST: Final = b"\x83"
_HTTP: Final = b"\x86"
_AUTHORITY, _PATH, _CONTENT_TYPE, _USER_AGENT = 1, 4, 31, 58  # in the static table

_PATH_FORM: Final = re.compile(rb"/[0-9A-Za-z_.]+/[0-9A-Za-z_]+")
_NAME: Final = re.compile(rb"[0-9a-z_.-]+")
_VALUE: Final = re.compile(rb"[\x20-\x7e]*")
_OURS: Final = frozenset({b"te", b"content-type", b"user-agent", b"host", b"connection"})
_EIGHT_DIGITS: Final = 99_999_999


def block(
    authority: bytes, path: bytes, seconds: float, metadata: Metadata = (), size: int = LONGEST
) -> bytes:
    """The headers of a call that has `seconds` to go.

    A name in `metadata` that ends in -bin has base64 for its value. Raises ValueError for what
    can't be sent.
    """
    made = _same(authority, path) + field(b"grpc-timeout", timeout(seconds))
    for name, value in metadata:
        if not _NAME.fullmatch(name) or name.startswith(b"grpc-") or name in _OURS:
            raise ValueError(f"metadata can't have the name {name[:40]!r}")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of {name[:40]!r} has bytes that metadata can't have")
        made += field(name, value)
    if len(made) > size:
        raise ValueError(f"the metadata is too long: {len(made)} bytes, {size} at most")
    return made


def timeout(seconds: float) -> bytes:
    """As grpc-timeout has it, rounded up."""
    milliseconds = math.ceil(min(max(seconds, 0.001), _EIGHT_DIGITS) * 1000)
    if milliseconds <= _EIGHT_DIGITS:
        return b"%dm" % milliseconds
    return b"%dS" % math.ceil(milliseconds / 1000)


@lru_cache(maxsize=1024)
def _same(authority: bytes, path: bytes) -> bytes:
    if not _PATH_FORM.fullmatch(path):
        raise ValueError(f"{path[:80]!r} is not the path of a method")
    return b"".join(
        (
            _POST,
            _HTTP,
            indexed(_PATH, path),
            indexed(_AUTHORITY, authority),
            field(b"te", b"trailers"),
            indexed(_CONTENT_TYPE, b"application/grpc"),
            indexed(_USER_AGENT, b"slipway"),
        )
    )
