"""What a server's header block says, as far as it matters to a unary call."""

from __future__ import annotations

import re
from time import thread_time
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec
from hpack import Decoder, HPACKError
from hpack.table import HeaderTable

from shared.unary.calm import Calm
from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault

LIST: Final = 1 << 16  # bytes of a header list, each field with 32 more (RFC 7541, 4.1)
BLOCK: Final = LIST  # bytes of its block
TEXT: Final = 4096  # characters of grpc-message that are kept
KNOWN: Final = 64  # blocks whose meaning is remembered ...
SHORT: Final = 512  # ... if they have no more bytes than this
FRAME: Final = 50e-6  # seconds of our time that count as an idle frame

_NAME: Final = re.compile(rb":status|[0-9a-z!#$%&'*+\-.^_`|~]+")
_VALUE: Final = re.compile(rb"[^\x00\r\n]*")
_STATUS: Final = re.compile(rb"[1-5][0-9]{2}")
_HOP: Final = frozenset(
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


class Blocks:
    """Decodes the blocks of one connection, all of them and in their order."""

    def __init__(self, calm: Calm) -> None:
        self._calm = calm
        self._decoder = Decoder(max_header_list_size=LIST)
        self._table = _Table()
        self._decoder.header_table = self._table
        self._known: dict[bytes, Fields] = {}

    def decode(self, block: bytes) -> Fields:
        """Raises ConnectionFault when the block can't be read: none after it could be; and when
        reading them takes too much of our time."""
        known = self._known.get(block)
        if known is not None:
            return known
        self._table.changed = block[:1] != b"" and block[0] & 0xE0 == 0x20
        began = thread_time()
        try:
            fields = read(self._decoder.decode(block, raw=True))  # type: ignore[arg-type]
        except HPACKError as error:
            raise ConnectionFault(Reset.COMPRESSION_ERROR, "Its headers can't be read.") from error
        self._calm.spend((thread_time() - began) / FRAME)
        if self._table.changed or len(self._known) >= KNOWN:
            self._known.clear()
        if not self._table.changed and len(block) <= SHORT:
            self._known[block] = fields
        return fields


class _Table(HeaderTable):
    """Tells when the same block may mean something else from now on."""

    changed = False

    def add(self, name: bytes, value: bytes) -> None:
        self.changed = True
        super().add(name, value)


def read(headers: list[tuple[bytes, bytes]]) -> Fields:
    found: dict[bytes, bytes] = {}
    for at, (name, value) in enumerate(headers):
        if not _NAME.fullmatch(name) or name in _HOP or not _VALUE.fullmatch(value):
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
