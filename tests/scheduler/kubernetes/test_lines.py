"""Lines are the same however a stream was cut into pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduler.drivers.kubernetes.errors import Away
from services.scheduler.drivers.kubernetes.lines import lines

LIMIT = 5


async def pieces_of(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@settings(deadline=None)
@given(st.lists(st.text("ab\n", max_size=9).map(str.encode), max_size=12))
async def test_long_lines_are_cut_wherever_the_pieces_end(pieces: list[bytes]) -> None:
    whole = b"".join(pieces).split(b"\n")
    expected = [line[:LIMIT] for line in whole[:-1] + ([whole[-1]] if whole[-1] else [])]
    assert [line async for line in lines(pieces_of(pieces), LIMIT, cut=True)] == expected


async def test_a_line_without_an_end_is_given_up_before_it_fills_the_memory() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x"

    with pytest.raises(Away, match="more than 5 bytes"):
        _ = [line async for line in lines(endless(), LIMIT)]
    assert read == LIMIT + 1
