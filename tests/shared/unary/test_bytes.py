"""Frames, header blocks and messages, whatever the pieces in which they come."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from shared.unary.blocks import Blocks
from shared.unary.calm import BURST, RATE, Calm
from shared.unary.faults import CallFault, ConnectionFault
from shared.unary.fields import Fields, is_grpc, read, text
from shared.unary.frames import DATA, END_STREAM, LONGEST, PADDED, Frames, frame
from shared.unary.literals import NO_TABLE, integer
from shared.unary.message import LONGEST as LONGEST_MESSAGE
from shared.unary.message import Message, prefix
from shared.unary.request import block, timeout

FRAMES = st.lists(
    st.tuples(
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, (1 << 31) - 1),
        st.binary(max_size=300),
    ),
    max_size=20,
)
CUTS = st.lists(st.integers(0, 6000), max_size=30)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(one, len(data)) for one in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@given(FRAMES, CUTS)
@how(deadline=None)
def test_frames_are_the_same_however_they_are_cut(
    made: list[tuple[int, int, int, bytes]], cuts: list[int]
) -> None:
    frames = Frames()
    found = [
        (kind, flags, stream, bytes(payload))
        for piece in cut(b"".join(frame(*one) for one in made), cuts)
        for kind, flags, stream, payload in frames.feed(piece)
    ]
    assert found == made


@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.booleans(), st.booleans()), max_size=6),
    st.lists(st.integers(0, 100_000), max_size=30),
)
@how(deadline=None)
def test_data_that_is_handed_on_in_pieces_is_the_same_data(
    made: list[tuple[int, bool, bool]], cuts: list[int]
) -> None:
    sent = [
        frame(DATA, last * END_STREAM | padded * PADDED, at, bytes((at,)) * size)
        for at, (size, last, padded) in enumerate(made)
    ]
    frames = Frames()
    found: dict[int, tuple[int, int]] = {}
    for piece in cut(b"".join(sent), cuts):
        for kind, flags, stream, payload in frames.feed(piece):
            size, before = found.get(stream, (0, 0))
            assert (kind, before & END_STREAM) == (DATA, 0)
            assert set(payload) <= {stream}
            assert not flags & PADDED or stream not in found
            found[stream] = (size + len(payload), flags)
    assert [(size, flags) for size, flags in found.values()] == [
        (size, last * END_STREAM | padded * PADDED) for size, last, padded in made
    ]
    assert list(found) == list(range(len(made)))


def test_the_reserved_bit_of_a_frame_is_ignored() -> None:
    ((_, _, stream, _),) = Frames().feed(bytes.fromhex("000000 00 00 80000005"))
    assert stream == 5


def test_a_frame_that_is_too_long_is_found_at_its_head() -> None:
    longest = frame(0, 0, 1, bytes(LONGEST))
    assert len(list(Frames().feed(longest))) == 1
    with pytest.raises(ConnectionFault):
        list(Frames().feed(b"\x04\x00\x01" + longest[3:9]))


@given(st.binary(max_size=2000), CUTS)
@how(deadline=None)
def test_a_message_is_the_same_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    message = Message(2000)
    for piece in cut(prefix(len(body)) + body, cuts):
        assert message.whole is None or not piece
        message.take(memoryview(piece))
        assert message.held <= len(body)
    assert message.whole == body


@given(st.binary(min_size=1, max_size=100), st.integers(0, 99), CUTS)
@how(deadline=None)
def test_a_message_that_is_too_long_is_refused_before_it_is_kept(
    body: bytes, limit: int, cuts: list[int]
) -> None:
    message = Message(min(limit, len(body) - 1))
    refused = 0
    for piece in cut(prefix(len(body)) + body, cuts):
        try:
            message.take(memoryview(piece))
        except CallFault:
            refused += 1
            break
    assert (refused, message.held, message.whole) == (1, 0, None)


def test_a_message_that_no_prefix_can_tell_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        prefix(LONGEST_MESSAGE + 1)


NAMES = st.from_regex(r"[a-df-z][0-9a-z_.-]{0,200}", fullmatch=True).filter(
    lambda name: not name.startswith("grpc-") and name not in ("te", "host", "connection")
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300)


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=8),
    st.from_regex(r"[0-9a-z.:]{0,200}", fullmatch=True),
    st.from_regex(r"/[0-9A-Za-z_.]{1,200}/[0-9A-Za-z_]{1,150}", fullmatch=True),
)
@how(deadline=None)
def test_anybody_can_read_our_headers_and_they_leave_nothing_behind(
    metadata: list[tuple[str, str]], host: str, path: str
) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in metadata]
    made = block(host.encode(), path.encode(), 1.5, pairs)
    decoder = Decoder()
    found = list(decoder.decode(NO_TABLE + made))
    assert found[:4] == [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", host),
    ]
    assert found[8:] == metadata
    assert ("grpc-timeout", "1500m") in found
    assert list(decoder.decode(made)) == found
    assert not decoder.header_table.dynamic_entries
    assert decoder.header_table_size == 0


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, b"1m"),
        (0.0001, b"1m"),
        (0.0301, b"31m"),
        (60, b"60000m"),
        (99_999.999, b"99999999m"),
        (100_000, b"100000S"),
        (1e7, b"10000000S"),
        (1e300, b"99999999S"),
    ],
)
def test_a_timeout_is_written_in_eight_digits(seconds: float, written: bytes) -> None:
    assert timeout(seconds) == written


@pytest.mark.parametrize(("value", "bits", "made"), [(10, 5, "0a"), (1337, 5, "1f9a0a")])
def test_integers_are_as_the_rfc_has_them(value: int, bits: int, made: str) -> None:
    assert integer(value, bits).hex() == made


@given(st.lists(st.sampled_from(["0", "5", "13", "x" * 600]), min_size=1, max_size=80))
@how(deadline=None)
def test_a_block_that_is_remembered_means_what_it_would_mean_anew(statuses: list[str]) -> None:
    encoder, blocks = Encoder(), Blocks(Calm(), read)
    encoder.header_table_size = 300  # so that entries go, too
    for status in statuses:
        made = encoder.encode([("grpc-status", status), ("x", status)])
        assert blocks.decode(made) == Fields(grpc_status=status.encode())


def test_the_same_block_may_mean_something_else_after_another() -> None:
    blocks = Blocks(Calm(), read)
    add = b"\x40\x0bgrpc-status\x01"
    newest = b"\xbe"
    for status in (b"1", b"2", b"3"):
        assert blocks.decode(add + status) == Fields(grpc_status=status)
        assert blocks.decode(newest) == Fields(grpc_status=status)
        assert blocks.decode(newest) == Fields(grpc_status=status)
    with pytest.raises(ConnectionFault):
        blocks.decode(b"\x20" + newest)


@given(st.lists(st.binary(max_size=200), max_size=5))
@how(deadline=None)
def test_a_block_of_noise_is_read_or_ends_the_connection(noise: list[bytes]) -> None:
    blocks = Blocks(Calm(), read)
    with suppress(ConnectionFault):
        for one in noise:
            assert isinstance(blocks.decode(one), Fields)


@pytest.mark.parametrize(
    ("content_type", "good"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"Application/GRPC ; x=y", True),
        (b"application/grpc-web", False),
        (b"application/grpcx", False),
        (b"", False),
    ],
)
def test_what_counts_as_grpc(content_type: bytes, good: bool) -> None:
    assert is_grpc(content_type) is good


@given(st.binary(max_size=100))
@how(deadline=None)
def test_any_message_becomes_text(message: bytes) -> None:
    found = text(message)
    found.encode()
    assert all(char in "\n\t" or (char >= " " and char != "\x7f") for char in found)


@given(st.text(max_size=50))
@how(deadline=None)
def test_a_message_that_was_percent_encoded_is_itself_again(message: str) -> None:
    encoded = b"".join(b"%%%02X" % byte for byte in message.encode())
    assert text(encoded) == "".join(
        "\ufffd" if (char < " " and char not in "\n\t") or char == "\x7f" else char
        for char in message
    )


def test_who_works_may_talk_and_who_only_talks_may_not() -> None:
    now = [0.0]
    calm = Calm(lambda: now[0])
    for _ in range(int(BURST) * 10):
        calm.spend()
        calm.passed(1000)
    for _ in range(int(BURST)):
        calm.spend()
    now[0] = 10
    for _ in range(int(10 * RATE)):
        calm.spend()
    with pytest.raises(ConnectionFault):
        calm.spend()
