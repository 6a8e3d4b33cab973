"""Logs as engines give them: frames, places in them, and reports between a server's lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from services.scheduler.drivers.container.cursor import Cursor, Gate, cursor
from services.scheduler.drivers.container.engine import FRAME, Frame, frames
from services.scheduler.drivers.container.errors import Missing, Rejected, Taken, kind, of_pull
from services.scheduler.drivers.container.sieve import Report, Sieve
from shared.errors import Transient

MARK = b"\x1eslipway-0123"


def sieved(*pieces: bytes) -> list[bytes | list[str]]:
    """Output joined between reports, for where it is cut does not matter."""
    sieve, found = Sieve(MARK), list[bytes | list[str]]()

    def put() -> Iterator[bytes | Report]:
        for piece in pieces:
            yield from sieve.feed(piece)

    for each in put():
        if isinstance(each, Report):
            found.append(each.words)
        elif found and isinstance(found[-1], bytes):
            found[-1] += each
        else:
            found.append(each)
    return found


STREAM = b"one\ntw" + MARK + b" began 0 0\no\n" + MARK + b"\nthree"
PARTS: list[bytes | list[str]] = [b"one\ntw", ["began", "0", "0"], b"o\n", [], b"three"]


def test_reports_are_told_from_output_wherever_the_engine_cut() -> None:
    assert sieved(STREAM) == PARTS
    for at in range(len(STREAM)):
        assert sieved(STREAM[:at], STREAM[at:]) == PARTS
    assert sieved(*(STREAM[n : n + 1] for n in range(len(STREAM)))) == PARTS


def test_what_only_begins_like_a_report_is_output() -> None:
    odd = b"\x1e\x1eslip \x1eslipway-012 x\n"
    assert sieved(odd, b"y") == [odd + b"y"]


def test_a_report_without_an_end_is_output_and_held_by_nobody() -> None:
    assert sieved(MARK + b"x" * 1000) == [MARK + b"x" * 1000]
    assert b"".join(p for p in sieved(*[MARK] * 50) if isinstance(p, bytes)).count(MARK) >= 30


async def read(content: bytes) -> list[Frame]:
    reader = asyncio.StreamReader()
    reader.feed_data(content)
    reader.feed_eof()
    return [frame async for frame in frames(reader)]


def frame(stream: int, body: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(body).to_bytes(4, "big") + body


async def test_frames_are_read_whole_or_not_at_all() -> None:
    good = frame(1, b"2026-01-01T00:00:00Z a b\n") + frame(2, b"2026-01-01T00:00:01Z ")
    expected = [
        Frame("stdout", "2026-01-01T00:00:00Z", b"a b\n"),
        Frame("stderr", "2026-01-01T00:00:01Z", b""),
    ]
    assert await read(good) == expected
    assert await read(good + frame(1, b"cut off")[:10]) == expected
    assert await read(good + b"\1\0") == expected


async def test_a_frame_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="frame of"):
        await read(b"\1\0\0\0" + (FRAME + 1).to_bytes(4, "big"))


def test_a_place_survives_being_written_down() -> None:
    place = Cursor().past("2026-01-01T00:00:00.5Z").past("2026-01-01T00:00:00.5Z")
    assert cursor(str(place)) == place == Cursor("2026-01-01T00:00:00.5Z", 2)
    assert place.since == "1767225600.500000000"
    assert [cursor(text) for text in ("", "x", "x 1", "1 x")] == [Cursor()] * 4


@pytest.mark.parametrize(
    ("again", "new", "torn"),
    [
        (["t1", "t1", "t1", "t2"], ["t1", "t2"], False),  # two of three were read before
        (["t0", "t1", "t1", "t2"], ["t2"], False),  # the engine began a little earlier
        (["t2", "t3"], ["t2", "t3"], True),  # what was read is there no more
        ([], [], False),
    ],
)
def test_reading_on_loses_and_doubles_nothing(again: list[str], new: list[str], torn: bool) -> None:
    stamp = "2026-01-01T00:00:0{}Z".format
    gate = Gate(Cursor(stamp(1), 2))
    found = [at for at in again if gate.new(stamp(at[1:]))]
    assert (found, gate.torn) == (new, torn)


@pytest.mark.parametrize(
    ("status", "message", "meant"),
    [
        (404, "no such container", Missing),
        (409, "conflict", Taken),
        (500, 'the container name "x" is already in use', Taken),
        (500, "can only kill running containers: container state improper", Taken),
        (403, "networks have same bridge name", Taken),
        (400, "invalid reference format", Rejected),
        (500, 'runc: exec: "/bin/sh": executable file not found', Rejected),
        (500, 'could not select device driver "nvidia"', Rejected),
        (500, "out of memory", Transient),
        (429, "slow down", Transient),
        (900, "Cannot connect", Transient),
        (500, "copier: stat: open /slipway/outputs: too many levels of symbolic links", Rejected),
        (500, "evalSymlinks: too many links in /slipway/outputs", Rejected),
    ],
)
def test_what_an_engines_answer_means(status: int, message: str, meant: type) -> None:
    assert kind(status, message) is meant


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("manifest unknown: manifest unknown", Missing),
        ("reading manifest sha256:0 in a/b: name unknown", Missing),
        ("unauthorized: authentication required", Rejected),
        ("pinging registry: connection refused", Transient),
        ("i/o timeout", Transient),
    ],
)
def test_what_a_failed_pull_means(message: str, meant: type) -> None:
    assert isinstance(of_pull(500, message, "registry.example/a@sha256:0"), meant)
