"""Lines out of the pieces in which a stream comes. No line is kept that is longer than allowed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable

from services.scheduler.drivers.kubernetes.errors import Away


async def lines(
    pieces: AsyncIterable[bytes], limit: int, *, cut: bool = False
) -> AsyncGenerator[bytes]:
    """Lines without their ends. A longer one than `limit` raises Away, or is `cut`."""
    held = bytearray()
    over = False  # within a line whose rest is thrown away
    async for piece in pieces:
        whole = piece.split(b"\n")
        for part in whole[:-1]:
            held += b"" if over else part
            if len(held) > limit:
                yield _cut(held, limit, cut)
            elif not over:
                yield bytes(held)
            held.clear()
            over = False
        held += b"" if over else whole[-1]
        if len(held) > limit:
            yield _cut(held, limit, cut)
            held.clear()
            over = True
    if held:
        yield bytes(held)


def _cut(line: bytearray, limit: int, cut: bool) -> bytes:
    if not cut:
        raise Away(f"the API server sent a line of more than {limit} bytes")
    return bytes(line[:limit])
