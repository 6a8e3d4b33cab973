"""Archives of which each does harm in its own way; hostile.py has those that come in rows."""

from __future__ import annotations

from typing import Final

from tests.shared.hostile import (
    LEAVES,
    LONG,
    Row,
    circle,
    climbing,
    doubling,
    extended,
    gnu,
    long_records,
    members,
    nested,
    realpath,
    same,
    zeros,
    zipped,
)
from tests.shared.tars import file, folder, gz, hardlink, header, packed, pax, record, symlink, tar

NOT_A_TAR: Final = "is not a tar|ends in the middle|not valid gzip|ends early"

MANY: Final = r"more than the \d+ members"

ODD: Final[dict[str, Row]] = {
    # names
    "the root as a folder": (lambda: tar(header("/", kind=b"5")), "absolute path"),
    "a prefix that climbs": (lambda: tar(header("x", prefix=b"..")), "leaves"),
    "a prefix that is absolute": (lambda: tar(header("passwd", prefix=b"/etc")), "absolute"),
    "a prefix that climbs from within": (lambda: tar(header("../x", prefix=b"a/..")), "leaves"),
    "a NUL in a pax path": (lambda: tar(pax({"path": b"a\0b"}), file("x")), "control"),
    "a NUL in a GNU name": (lambda: tar(gnu(b"a\0../b"), file("x")), "control"),
    "a pax path that hides a good one": (
        lambda: tar(pax({"path": b"../x"}), file("good")),
        "leaves",
    ),
    "two pax paths, the last of them bad": (
        lambda: tar(extended(record(b"path", b"a") + record(b"path", b"../x")), file("x")),
        "leaves",
    ),
    "a name told by both": (lambda: tar(gnu(b"a"), pax({"path": b"b"}), file("c")), "twice"),
    "a name told by both, turned round": (
        lambda: tar(pax({"path": b"b"}), gnu(b"a"), file("c")),
        "twice",
    ),
    "no name": (lambda: tar(file("")), "has no name"),
    "a file that is the root": (lambda: tar(file("./.")), "has no name"),
    "a link that is the root": (lambda: tar(symlink(".", "x")), "has no name"),
    "a path of 4097": (lambda: tar(pax({"path": LONG * 45 + b"x" * 2}), file("x")), "1000 bytes"),
    "a path of a million": (
        lambda: tar(pax({"path": b"a/" * 499_000 + b"x"}), file("x")),
        "more than 1000 bytes",
    ),
    "a name of 256": (lambda: tar(pax({"path": b"x" * 256}), file("x")), "255 bytes"),
    "a name of 256 bytes in 86 letters": (
        lambda: tar(pax({"path": "€".encode() * 86}), file("x")),
        "255 bytes",
    ),
    "too deep": (lambda: tar(pax({"path": b"a/" * 65 + b"x"}), file("x")), "folders deep"),
    # twice, and nearly
    "a file twice": (lambda: tar(file("a"), file("a")), "is there twice"),
    "a file twice by spelling": (lambda: tar(file("a/b"), file(".//a/./b")), "is there twice"),
    "a file and a folder": (lambda: tar(file("a"), folder("a")), "is there twice"),
    "a folder and a file": (lambda: tar(folder("a"), file("a")), "is there twice"),
    "a file below a file": (lambda: tar(file("a"), file("a/b")), "goes through the file"),
    "a file below a hard link": (
        lambda: tar(file("a"), hardlink("b", "a"), file("b/c")),
        "goes through the hardlink",
    ),
    "a link and a file": (lambda: tar(symlink("a", "b"), file("a")), "is there twice"),
    "a link and a folder": (lambda: tar(symlink("a", "b"), folder("a")), "is there twice"),
    "a link in place of a folder": (lambda: tar(file("a/b"), symlink("a", "c")), "is there twice"),
    "a link twice": (lambda: tar(symlink("a", "b"), symlink("a", "c")), "is there twice"),
    "twins": (lambda: tar(file("Readme"), file("README")), "only in case"),
    "twin folders": (lambda: tar(file("A/x"), file("a/y")), "only in case"),
    "a twin of a link": (lambda: tar(symlink("Lib", "x"), file("lib/y")), "only in case"),
    "twins by accents": (lambda: tar(file("é"), file("e\u0301")), "only in case or accents"),
    "twins by width": (lambda: tar(file("a"), file("\uff41")), "only in case"),
    "twins by ligature": (lambda: tar(file("ffi"), file("\ufb03")), "only in case"),
    "twins by the sharp s": (lambda: tar(file("straße"), file("STRASSE")), "only in case"),
    # links
    "a write through a link": (lambda: tar(symlink("a", "b"), file("a/x")), "goes through the sym"),
    "a write through a link to a folder": (
        lambda: tar(folder("b"), symlink("a", "b"), file("a/x")),
        "goes through the symlink",
    ),
    "a folder through a link": (lambda: tar(symlink("a", "."), folder("a/b")), "goes through"),
    "a link through a link": (lambda: tar(symlink("a", "."), symlink("a/b", "c")), "goes through"),
    "a hard link through a link": (
        lambda: tar(file("f"), symlink("a", "."), hardlink("a/b", "f")),
        "goes through",
    ),
    "a hard link to what a link hides": (
        lambda: tar(file("d/f"), symlink("a", "d"), hardlink("b", "a/f")),
        "not an earlier file",
    ),
    "a hard link to a symlink": (lambda: tar(symlink("a", "b"), hardlink("c", "a")), "not an ear"),
    "a hard link to itself": (lambda: tar(hardlink("a", "a")), "not an earlier file"),
    "a hard link ahead": (lambda: tar(hardlink("a", "b"), file("b")), "not an earlier file"),
    "a hard link to a folder": (lambda: tar(folder("b"), hardlink("a", "b")), "not an earlier"),
    "a hard link to nothing": (lambda: tar(hardlink("a", "")), "not an earlier file"),
    "a hard link with content": (
        lambda: tar(file("b"), header("a", kind=b"1", link="b", size=512), bytes(512)),
        "has content",
    ),
    "a symlink with content": (
        lambda: tar(header("a", kind=b"2", link="b", size=512), bytes(512)),
        "has content",
    ),
    "a symlink with content by pax": (
        lambda: tar(pax({"size": b"512"}), symlink("a", "b"), bytes(512)),
        "has content",
    ),
    "a folder with content": (lambda: tar(header("a", kind=b"5", size=512), bytes(512)), "content"),
    "a folder by its slash, with content": (lambda: tar(file("a/", b"x" * 600)), "has content"),
    "a link to nothing": (lambda: tar(symlink("a", "")), "what can't be a path"),
    "a link to a long place": (
        lambda: tar(pax({"linkpath": b"x/" * 600}), symlink("a", "b")),
        "what can't be a path",
    ),
    "a link of two that climb": (
        lambda: tar(symlink("p/q/d", "../.."), symlink("e", "p/q/d/../x")),
        LEAVES,
    ),
    "two that climb, the other way round": (
        lambda: tar(symlink("e", "p/q/d/../x"), symlink("p/q/d", "../..")),
        LEAVES,
    ),
    "a chain of 10 that climbs": (lambda: climbing(10), LEAVES),
    "a chain of 39 that climbs": (lambda: climbing(38), LEAVES),
    "a chain longer than any": (lambda: climbing(60), "circles|leaves"),
    "a circle of 1": (lambda: circle(1), "in circles"),
    "a circle of 2": (lambda: circle(2), "in circles"),
    "a circle of 39": (lambda: circle(39), "in circles"),
    "a circle of 1,000": (lambda: circle(1_000), "in circles"),
    "links that double": (doubling, "in circles|links through links"),
    "links beyond the longest path": (realpath, "goes through the symlink|leaves"),
    # kinds and extended headers
    "setuid, on a device": (lambda: tar(header("a", kind=b"3", mode=0o4777)), "is a device"),
    "extended headers without end": (lambda: tar(*([gnu(b"a")] * 9), file("x")), "twice|in a row"),
    "comments without end": (lambda: pax({"comment": b"x"}) * 2_000, "in a row"),
    "global comments without end": (lambda: pax({"comment": b"x"}, b"g") * 2_000, "in a row"),
    "an extended header at the end": (lambda: tar(pax({"path": b"x"})), "after an extended"),
    "an extended header that is cut": (lambda: pax({"path": b"x" * 900})[:700], "in the middle"),
    "an extended header of 2 GiB": (lambda: tar(header("p", kind=b"x", size=2 << 30)), "1048576"),
    "a GNU name of 2 GiB": (lambda: tar(header("p", kind=b"L", size=2 << 30)), "1048576 bytes"),
    "a GNU target of 2 GiB": (lambda: tar(header("p", kind=b"K", size=2 << 30)), "1048576 bytes"),
    "an extended header of all there is": (
        lambda: tar(header("p", kind=b"x", size=b"\x80" + b"\xff" * 11)),
        "impossible size",
    ),
    "a million records": (long_records, "records"),
    # bombs
    "10 GiB of zeros": (lambda: zeros(10), "250 times its size|more than the"),
    "a million folders": (lambda: members(100_001), MANY),
    "a million times the root": (lambda: same(200_000), MANY),
    "a million empty files, packed": (
        lambda: gz(b"".join(header(f"f{n}") for n in range(100_001))),
        MANY,
    ),
    "hard links that add up": (
        lambda: tar(
            header("a", size=1 << 20),
            bytes(1 << 20),
            *(hardlink(f"b{n}", "a") for n in range(20_480)),
        ),
        "more than the",
    ),
    "10,001 gzip files": (lambda: gz(b"") * 10_001, "more than 10000 gzip files"),
    "a tar in 20 gzips": (lambda: nested(20), "is not a tar"),
    "a gzip of a zip": (lambda: gz(zipped(a=b"x")), NOT_A_TAR),
    "a zip": (lambda: zipped(a=b"x"), "is a zip archive; send a tar or a tar.gz"),
    "a zip that climbs": (lambda: zipped(**{"../x": b"x"}), "is a zip archive"),
    "a zip bomb": (lambda: zipped(a=bytes(10 << 20)), "is a zip archive"),
    "a zip behind a tar": (lambda: tar(file("a")) + zipped(a=b"x"), "after its end mark"),
    "a zip behind a script": (lambda: b"#!/bin/sh\nexit\n" + zipped(a=b"x"), NOT_A_TAR),
    # damage
    "nothing": (lambda: b"", "is empty"),
    "one byte": (lambda: b"x", NOT_A_TAR),
    "a line": (lambda: b"hello\n", NOT_A_TAR),
    "a page": (lambda: b"<html>" * 200, NOT_A_TAR),
    "511 zeros": (lambda: bytes(511), NOT_A_TAR),
    "zeros and then a member": (lambda: bytes(512) + file("a"), "after its end mark"),
    "a wrong checksum": (lambda: tar(b"b" + header("a")[1:]), "checksum is wrong"),
    "a checksum of spaces": (
        lambda: tar(header("a")[:148] + b" " * 8 + header("a")[156:]),
        "checks",
    ),
    "no end": (lambda: file("a"), "was cut short"),
    "half a header": (lambda: file("a")[:256], "in the middle"),
    "half a member": (lambda: file("a", b"x" * 5000)[:2000], "in the middle"),
    "no padding": (lambda: file("a", b"x" * 100)[:612], "in the middle"),
    "two tars": (lambda: tar(file("a")) + tar(file("b")), "after its end mark"),
    "two tars in two gzips": (lambda: gz(tar(file("a"))) + gz(tar(file("b"))), "after its end"),
    "a gzip that ends early": (lambda: gz(tar(file("a")))[:-5], "gzip ends early"),
    "a gzip of half": (lambda: gz(tar(file("a")))[:40], "gzip ends early"),
    "only a gzip's head": (lambda: b"\x1f\x8b\x08", NOT_A_TAR),
    "a gzip with a name without end": (
        lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (8 << 20),
        "gzip ends early",
    ),
    "a gzip of an unknown method": (lambda: b"\x1f\x8b\x07" + bytes(60), "not valid gzip"),
    "a gzip with a wrong checksum": (lambda: gz(tar(file("a")))[:-8] + bytes(8), "not valid gzip"),
    "a gzip and rubbish": (lambda: gz(tar(file("a"))) + b"rubbish", "not valid gzip"),
    "a gzip and a tar": (lambda: gz(tar(file("a"))) + tar(file("b")), "not valid gzip"),
    "an honest zip's name for a tar": (lambda: packed({"a": b"x"})[:600], NOT_A_TAR),
}
