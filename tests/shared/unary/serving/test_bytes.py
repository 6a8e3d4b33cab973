"""What is told at the end of calls, as anybody reads it."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hpack import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.unary.codes import Code
from shared.unary.serving.refused import Refused
from shared.unary.serving.told import TEXT, http, percent, refusal


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_is_told_as_it_is(text: str) -> None:
    made = percent(text)
    assert all(0x20 <= byte < 0x7F for byte in made)
    assert unquote(made.decode()) == text.encode(errors="replace").decode()


@pytest.mark.parametrize("char", ["x", "ü", "€", "😀", "%"])
def test_a_text_that_is_too_long_is_cut_and_stays_a_text(char: str) -> None:
    made = percent(char * 5000)
    assert len(made) <= TEXT
    assert set(unquote(made.decode(), errors="strict")) <= {char, "…"}


def test_anybody_can_read_what_a_call_ended_with() -> None:
    refused = Refused(Code.UNAVAILABLE, "100 % busy", (("retry-after", "1"),))
    decoder = Decoder()
    assert decoder.decode(refusal(refused)) == [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "14"),
        ("grpc-message", "100 %25 busy"),
        ("retry-after", "1"),
    ]
    assert decoder.decode(http(415)) == [(":status", "415")]
    assert not decoder.header_table.dynamic_entries
