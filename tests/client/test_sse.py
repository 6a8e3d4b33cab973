"""The parser: whole events from pieces of bytes, however they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.sse import Message, Parser

STREAM = (
    ": hello\n\n"
    "id: 1.1\nevent: line\ndata: ünï\n\n"
    "data:two\ndata: lines\n\n"
    "id: 1.2\r\nevent: end\r\ndata: x\r\n\r\n"
    "event: nothing\n\n"
    "retry: 1500\ndata\n\n"
    "id: 2\rdata: last\r\r"
).encode()
MESSAGES = [
    Message(event="line", data="ünï", id="1.1"),
    Message(data="two\nlines", id="1.1"),
    Message(event="end", data="x", id="1.2"),
    Message(data="", id="1.2"),
    Message(data="last", id="2"),
]


def read(*chunks: bytes) -> list[Message]:
    parser = Parser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


def test_a_whole_stream_is_read_at_once() -> None:
    assert read(STREAM) == MESSAGES


@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_however_it_is_cut_the_events_are_the_same(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in pairwise(edges))) == MESSAGES


def test_byte_by_byte_too() -> None:
    assert read(*(bytes([byte]) for byte in STREAM)) == MESSAGES


def test_what_was_not_ended_is_not_an_event() -> None:
    assert read(b"data: half\n") == []


@given(
    st.lists(
        st.text(st.characters(blacklist_characters="\r\n\ufeff", blacklist_categories=["Cs"])),
        min_size=1,
    )
)
def test_any_text_comes_back_as_it_was_sent(texts: list[str]) -> None:
    stream = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert [message.data for message in read(stream)] == texts


@given(st.binary())
def test_no_bytes_break_it(noise: bytes) -> None:
    read(noise, b"\n\n", noise)


@pytest.mark.parametrize(("line", "seconds"), [("1500", 1.5), ("x", None), ("²", None)])
def test_retry_is_read_when_it_is_a_number(line: str, seconds: float | None) -> None:
    parser = Parser()
    list(parser.feed(f"retry: {line}\n\n".encode()))
    assert parser.retry == seconds


def test_a_byte_order_mark_is_left_out_and_a_bad_id_ignored() -> None:
    assert read("\ufeffid: 7\ndata: x\n\nid: a\0b\ndata: y\n\n".encode()) == [
        Message(data="x", id="7"),
        Message(data="y", id="7"),
    ]
