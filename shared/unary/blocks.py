"""The header blocks of one connection, read in their order (RFC 7541)."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import Final, Generic, TypeVar

from hpack import Decoder, HPACKError
from hpack.table import HeaderTable

from shared.unary.calm import Calm
from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault

LIST: Final = 1 << 16  # bytes of a header list, each field with 32 more (RFC 7541, 4.1)
BLOCK: Final = LIST  # bytes of its block
KNOWN: Final = 64  # blocks whose meaning is remembered ...
SHORT: Final = 512  # ... if they have no more bytes than this
FRAME: Final = 50e-6  # seconds of our time that count as an idle frame

Headers = list[tuple[bytes, bytes]]
Meaning = TypeVar("Meaning")


class Blocks(Generic[Meaning]):
    """Decodes the blocks of one connection, all of them. `read` says what a list of headers means,
    and always the same; lists of more than `most` bytes are not read."""

    def __init__(self, calm: Calm, read: Callable[[Headers], Meaning], most: int = LIST) -> None:
        self._calm = calm
        self._read = read
        self._decoder = Decoder(max_header_list_size=most)
        self._table = _Table()
        self._decoder.header_table = self._table
        self._known: dict[bytes, Meaning] = {}

    def decode(self, block: bytes) -> Meaning:
        """Raises ConnectionFault when the block can't be read: none after it could be; and when
        reading them takes too much of our time."""
        known = self._known.get(block)
        if known is not None:
            return known
        self._table.changed = block[:1] != b"" and block[0] & 0xE0 == 0x20
        began = thread_time()
        try:
            meaning = self._read(self._decoder.decode(block, raw=True))  # type: ignore[arg-type]
        except HPACKError as error:
            raise ConnectionFault(Reset.COMPRESSION_ERROR, "Its headers can't be read.") from error
        self._calm.spend((thread_time() - began) / FRAME)
        if self._table.changed or len(self._known) >= KNOWN:
            self._known.clear()
        if not self._table.changed and len(block) <= SHORT:
            self._known[block] = meaning
        return meaning


class _Table(HeaderTable):
    """Tells when the same block may mean something else from now on."""

    changed = False

    def add(self, name: bytes, value: bytes) -> None:
        self.changed = True
        super().add(name, value)
