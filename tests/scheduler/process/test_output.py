"""What a server prints becomes numbered lines: complete, or with a line that says what is missing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from services.scheduler.drivers.process import logbook
from services.scheduler.drivers.process.supervisor import output
from services.scheduler.drivers.process.supervisor.output import LONGEST, Output
from shared.database.logs import Line


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(output, "time", clock)
    return clock


@pytest.fixture
def door(tmp_path: Path) -> Iterator[int]:
    door = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield door
    os.close(door)


def every_line(folder: Path) -> list[Line]:
    found: list[Line] = []
    while more := logbook.read(folder, len(found)):
        found += more
    return found


def texts(lines: Sequence[Line]) -> list[str]:
    return [line.text for line in lines]


def test_lines_are_numbered_across_both_streams(door: int, tmp_path: Path) -> None:
    out = Output(door)
    out.feed("stdout", b"one\ntw")
    out.feed("stderr", b"oops\n")
    out.feed("stdout", b"o\n\nlast")
    out.end_lines()
    lines = logbook.read(tmp_path, 0)
    assert [(line.line, line.stream, line.text) for line in lines] == [
        (1, "stdout", "one"),
        (2, "stderr", "oops"),
        (3, "stdout", "two"),
        (4, "stdout", ""),
        (5, "stdout", "last"),
    ]


def test_odd_bytes_do_no_harm(door: int, tmp_path: Path) -> None:
    out = Output(door)
    out.feed("stdout", b"a\0b\xff\xfe\r\n" + "ü".encode() + b"\n")
    assert texts(logbook.read(tmp_path, 0)) == ["ab\ufffd\ufffd", "ü"]


def test_long_lines_are_cut_whether_they_come_at_once_or_in_pieces(
    door: int, tmp_path: Path
) -> None:
    out = Output(door)
    out.feed("stdout", b"x" * (LONGEST + 1) + b"\nnext\n")
    for _ in range(40):
        out.feed("stdout", b"y" * 1000)
    out.feed("stdout", b"\nafter\n")
    cut = " [cut]"
    assert texts(logbook.read(tmp_path, 0)) == [
        "x" * LONGEST + cut,
        "next",
        "y" * LONGEST + cut,
        "after",
    ]


def test_numbers_go_on_after_a_writer_died_in_the_middle_of_a_line(
    door: int, tmp_path: Path
) -> None:
    Output(door).feed("stdout", b"one\ntwo\n")
    (file,) = tmp_path.iterdir()
    with file.open("ab") as torn:
        torn.write(b'{"line":3,"at"')
    Output(door).feed("stdout", b"three\n")
    assert [(line.line, line.text) for line in every_line(tmp_path)] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]


def test_a_flood_is_dropped_and_counted(door: int, tmp_path: Path, clock: Clock) -> None:
    out = Output(door)
    flood = b"0123456789abcde\n" * 4096
    for _ in range(3200):  # 200 MB within a second
        out.feed("stdout", flood)
        clock.now += 1 / 3200
    kept = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert kept < 16 << 20
    clock.now += 10
    out.settle()
    lines = every_line(tmp_path)
    assert [line.line for line in lines] == list(range(1, len(lines) + 1))
    printed = sum(1 for line in lines if line.stream == "stdout")
    told = sum(int(line.text.split()[0]) for line in lines if line.stream == "platform")
    assert printed + told == 3200 * 4096


def test_what_nobody_collects_is_bounded_and_goes_on_when_it_is(
    door: int, tmp_path: Path, clock: Clock
) -> None:
    out = Output(door)
    for n in range(4000):
        out.feed("stdout", b"%d " % n + b"z" * 8000 + b"\n")
        clock.now += 1
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert size < output.KEPT + 2 * output.SEGMENT
    every_line(tmp_path)
    clock.now += 10
    out.feed("stdout", b"again\n")
    lines = every_line(tmp_path)
    assert lines == [] or lines[-1].text == "again"


def test_a_complaint_is_remembered(door: int) -> None:
    out = Output(door)
    out.feed("stderr", b"Traceback\nslipway: no function f in predict.py\nbye\n")
    assert out.complaint == "no function f in predict.py"
    out.feed("stdout", b"slipway: not mine\n")
    assert out.complaint == "no function f in predict.py"


def test_files_that_are_collected_are_deleted(
    door: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "SEGMENT", 200)
    out = Output(door)
    for n in range(1, 21):
        out.feed("stdout", b"line %d\n" % n)
    assert len(list(tmp_path.iterdir())) > 5
    assert texts(logbook.read(tmp_path, 0))[-1] == "line 20"
    assert texts(logbook.read(tmp_path, 19)) == ["line 20"]
    assert len(list(tmp_path.iterdir())) <= 2
    assert logbook.read(tmp_path, 20) == []


def test_a_line_that_a_full_disk_cut_is_told_and_hides_no_other(door: int, tmp_path: Path) -> None:
    out = Output(door)
    out.feed("stdout", b"one\ntwo\nthree\n")
    (file,) = tmp_path.iterdir()
    one, two, three, _ = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join((one, two[:20] + three, three, b"")))
    lines = logbook.read(tmp_path, 0)
    assert [line.line for line in lines] == [1, 2, 3]
    assert [line.stream for line in lines] == ["stdout", "platform", "stdout"]
    assert "damaged" in lines[1].text


def test_a_full_disk_loses_lines_and_no_numbers(
    door: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, content: bytes) -> int:
        if len(content) > 20:
            return write(file, content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    out, write = Output(door), os.write
    out.feed("stdout", b"one\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        out.feed("stdout", b"two\nthree\n")
    out.feed("stdout", b"four\n")
    lines = every_line(tmp_path)
    assert [line.line for line in lines] == [1, 2, 3]
    assert texts(lines)[0::2] == ["one", "four"]
    assert "2 lines (8 bytes) were dropped" in texts(lines)[1]


def test_lines_that_are_thrown_away_while_they_are_read_are_no_trouble(
    door: int, tmp_path: Path
) -> None:
    Output(door).feed("stdout", b"one\n")
    (tmp_path / "000000000002.jsonl").symlink_to("gone")  # listed, and gone when it is opened
    assert texts(logbook.read(tmp_path, 0)) == ["one"]
