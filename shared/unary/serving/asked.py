"""What the header block of a call says, as far as it matters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from shared.unary.blocks import Headers
from shared.unary.codes import Code
from shared.unary.fields import HOP, NAME, VALUE, is_grpc
from shared.unary.serving.refused import Metadata, Refused

PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
IDENTITY: Final[Metadata] = (("grpc-accept-encoding", "identity"),)

_KEPT: Final = frozenset({b"content-type", b"grpc-encoding", b"grpc-timeout"})
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    path: bytes = b""
    seconds: float | None = None  # for which the client waits
    malformed: bool = False  # it is no request of HTTP/2
    status: int = 0  # of HTTP, when it is no call of gRPC
    refused: Refused | None = None


MALFORMED: Final = Asked(malformed=True)


def reader(most: int) -> Callable[[Headers], Asked]:
    """Of lists that have `most` bytes, each field with 32 more (RFC 7541, 4.1)."""

    def read(headers: Headers) -> Asked:
        found = _found(headers)
        if found is None or not found.get(b":path") or b":method" not in found:
            return MALFORMED
        if sum(len(name) + len(value) + 32 for name, value in headers) > most:
            text = f"What is said about the call has more than the {most} bytes allowed"
            return Asked(refused=Refused(Code.RESOURCE_EXHAUSTED, text))
        return _asked(found)

    return read


def _found(headers: Headers) -> dict[bytes, bytes] | None:
    """What matters; None: HTTP/2 doesn't allow it."""
    found: dict[bytes, bytes] = {}
    plain = False
    for name, value in headers:
        if name[:1] == b":":
            if plain or name not in PSEUDO or name in found or not VALUE.fullmatch(value):
                return None
            found[name] = value
            continue
        plain = True
        if not NAME.fullmatch(name) or name in HOP or not VALUE.fullmatch(value):
            return None
        if name in _KEPT:
            if name in found:
                return None
            found[name] = value
    return found


def _asked(found: dict[bytes, bytes]) -> Asked:
    if found[b":method"] != b"POST":
        return Asked(status=405)
    if not is_grpc(found.get(b"content-type", b"")):
        return Asked(status=415)
    encoding = found.get(b"grpc-encoding", b"identity")
    if encoding != b"identity":
        text = "grpc-encoding: messages that are compressed are not taken, only identity is"
        return Asked(refused=Refused(Code.UNIMPLEMENTED, text, IDENTITY))
    timeout = found.get(b"grpc-timeout")
    if timeout is None:
        return Asked(path=found[b":path"])
    match = _TIMEOUT.fullmatch(timeout)
    if match is None:
        text = "grpc-timeout: it is up to 8 digits and one of H, M, S, m, u and n"
        return Asked(refused=Refused(Code.INVALID_ARGUMENT, text))
    return Asked(path=found[b":path"], seconds=int(match[1]) * _SECONDS[match[2]])
