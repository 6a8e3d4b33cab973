"""What is taken out of a layer that strangers' code has written, and what is said of failures."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from services.builder.python.lock import Pin
from services.builder.python.wheels import built
from services.builder.python.wheels.pylock import Found
from shared.errors import Invalid

OUT = "slipway/wheels/out"


def layer(folder: Path, *members: tuple[str, bytes, str]) -> Path:
    path = folder / "layer.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
            else:
                info.linkname = content
                archive.addfile(info)
    return path


def test_only_wheels_that_are_files_of_their_folder_are_taken(tmp_path: Path) -> None:
    good = "a-1-py3-none-any.whl"
    packed = layer(
        tmp_path,
        (OUT, tarfile.DIRTYPE, ""),
        (f"{OUT}/{good}", tarfile.REGTYPE, "good"),
        (f"{OUT}/b-1-py3-none-any.whl", tarfile.SYMTYPE, "/etc/passwd"),
        (f"{OUT}/c-1-py3-none-any.whl", tarfile.LNKTYPE, f"{OUT}/{good}"),
        (f"{OUT}/../../../d-1-py3-none-any.whl", tarfile.REGTYPE, "evil"),
        (f"{OUT}/sub/e-1-py3-none-any.whl", tarfile.REGTYPE, "deep"),
        (f"{OUT}/notes.txt", tarfile.REGTYPE, "none"),
        ("usr/bin/f-1-py3-none-any.whl", tarfile.REGTYPE, "elsewhere"),
    )
    into = tmp_path / "into"
    into.mkdir()
    assert built.take(packed, into) == [good]
    assert [path.name for path in into.iterdir()] == [good]
    assert (into / good).read_text() == "good"


def test_too_many_wheels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built, "MOST", 1)
    packed = layer(
        tmp_path,
        *((f"{OUT}/{name}-1-py3-none-any.whl", tarfile.REGTYPE, "") for name in "ab"),
    )
    with pytest.raises(Invalid, match="too much"):
        built.take(packed, tmp_path)


def test_a_wheel_of_another_version_is_not_taken_for_the_one_that_was_decided_on() -> None:
    needed = [Found(pin=Pin(name="a-b", version="2.0", hashes=()), line="a-b==2.0")]
    other = ["a_b-2.1-py3-none-any.whl"]
    assert built.chosen(needed, other, exactly=True) == {}
    assert built.chosen(needed, other, exactly=False) == {"a-b": other[0]}
    both = [*other, "a_b-2.0-1-cp311-cp311-linux_x86_64.whl"]
    for exactly in (True, False):
        assert built.chosen(needed, both, exactly=exactly) == {"a-b": both[1]}


@pytest.mark.parametrize(
    ("line", "need"),
    [
        ("error: command 'gcc' failed: No such file or directory", "C compiler"),
        ("error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'", "C compiler"),
        ("unable to execute 'x86_64-linux-gnu-gcc': No such file or directory", "C compiler"),
        ("configure: error: no acceptable C compiler found in $PATH", "C compiler"),
        ("../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]", "C compiler"),
        ("CMake Error: CMAKE_C_COMPILER not set, after EnableLanguage", "C compiler"),
        ("fatal error: Python.h: No such file or directory", "python3-dev"),
        ("error: can't find Rust compiler", "Rust"),
        ("Cargo, the Rust package manager, is not installed or is not on PATH.", "Rust"),
        ("ValueError: it is Tuesday", ""),
    ],
)
def test_what_a_base_lacks_is_told_from_what_was_said(line: str, need: str) -> None:
    found = built.lacks(["something else", line])
    assert need in found
    assert bool(found) is bool(need)
