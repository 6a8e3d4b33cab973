"""What the cluster's DNS makes of a query, and what it answers."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.beds.kubernetes.dns import AAAA, NO_NAME, NOTHING, A, answer, question

HEAD = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
NAME = b"\3one\2NS\3svc\7cluster\5local\0"


def query(kind: int, more: bytes = b"") -> bytes:
    return HEAD + NAME + struct.pack("!HH", kind, 1) + more


@pytest.mark.parametrize("kind", [A, AAAA])
def test_a_question_is_a_name_and_a_type_whatever_follows(kind: int) -> None:
    name, found, end = question(query(kind, more=b"options"))
    assert (name, found, end) == ("one.ns.svc.cluster.local", kind, len(query(kind)))


@given(st.binary(max_size=80))
def test_what_is_no_question_is_said_to_be_none(rest: bytes) -> None:
    try:
        _, _, end = question(HEAD + rest)
    except ValueError:
        return
    assert end <= len(HEAD + rest)


def test_an_answer_repeats_the_question_and_has_every_address() -> None:
    asked = query(A)
    said = answer(query(A, more=b"options"), len(asked), NOTHING, ("10.96.0.1", "10.96.0.2"))
    number, flags, questions, answers, *rest = struct.unpack_from("!HHHHHH", said)
    assert (number, flags & 0x8000, flags & 0xF, questions, answers) == (7, 0x8000, NOTHING, 1, 2)
    assert rest == [0, 0]
    assert said[12 : len(asked)] == asked[12:]
    records = said[len(asked) :]
    assert [socket.inet_ntoa(records[at - 4 : at]) for at in (16, 32)] == ["10.96.0.1", "10.96.0.2"]


def test_a_name_that_is_not_there_has_a_code_and_no_address() -> None:
    said = answer(query(A), len(query(A)), NO_NAME, None)
    assert struct.unpack_from("!HHHHHH", said)[1] & 0xF == NO_NAME
    assert len(said) == len(query(A))
