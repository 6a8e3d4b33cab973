"""What a server's header block says, as far as it matters to a unary call."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

TEXT: Final = 4096  # characters of grpc-message that are kept

NAME: Final = re.compile(rb":status|[0-9a-z!#$%&'*+\-.^_`|~]+")
VALUE: Final = re.compile(rb"[^\x00\r\n]*")
_STATUS: Final = re.compile(rb"[1-5][0-9]{2}")
HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_ONCE: Final = frozenset({b"content-type", b"grpc-status", b"grpc-message"})
_CONTROL: Final = {code: "\ufffd" for code in (*range(32), 127) if code not in (9, 10)}


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    wrong: str | None = None  # why the answer that they belong to can't be used
    status: int | None = None  # of HTTP; trailers have none
    content_type: bytes | None = None
    grpc_status: bytes | None = None
    grpc_message: bytes = b""


def read(headers: list[tuple[bytes, bytes]]) -> Fields:
    found: dict[bytes, bytes] = {}
    for at, (name, value) in enumerate(headers):
        if not NAME.fullmatch(name) or name in HOP or not VALUE.fullmatch(value):
            return Fields(wrong="One of its headers is not valid.")
        if name == b":status":
            if at or not _STATUS.fullmatch(value):
                return Fields(wrong="Its HTTP status is not valid.")
        elif name not in _ONCE:
            continue
        elif name in found:
            return Fields(wrong="One of its headers came twice.")
        found[name] = value
    status = found.get(b":status")
    return Fields(
        status=None if status is None else int(status),
        content_type=found.get(b"content-type"),
        grpc_status=found.get(b"grpc-status"),
        grpc_message=found.get(b"grpc-message", b""),
    )


def is_grpc(content_type: bytes) -> bool:
    kind, _, _ = content_type.partition(b";")
    name, _, _ = kind.strip().lower().partition(b"+")
    return name == b"application/grpc"


def text(message: bytes) -> str:
    """grpc-message as people read it: of limited length, and without control characters."""
    plain = unquote_to_bytes(message[: 12 * TEXT]).decode("utf-8", "replace")
    return plain[:TEXT].translate(_CONTROL)
