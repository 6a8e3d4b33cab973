"""Archives made to do harm: how each is made, and the words with which it is refused."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Final

from tests.shared.tars import (
    END,
    content,
    file,
    folder,
    gz,
    header,
    pax,
    symlink,
    tar,
)

Row = tuple[bytes | Callable[[], bytes], str]
"""The bytes, or how they are made, and a pattern of the reason."""

LEAVES: Final = "leaves the archive|absolute path|backslash"
OUTSIDE: Final = (
    "..",
    "../x",
    "../../../../../../../../etc/cron.d/x",
    "./../x",
    ".//..//x",
    "a/../../x",
    "a/..",
    "a/./../..",
    "a/b/../../../x",
    "...././../../x",
    "/",
    "/x",
    "//x",
    "/etc/passwd",
    "/proc/self/root/x",
    "/..",
    "C:\\x",
    "C:x",
    "c:/windows/x",
    "\\x",
    "\\\\host\\share\\x",
    "..\\x",
    "a\\..\\..\\x",
    "a/..\\../x",
)
"""Names that mean a place outside, on one system or another."""

UNPRINTABLE: Final = (
    b"a\nb",
    b"a\rb",
    b"a\tb",
    b"a\x01b",
    b"a\x08b",
    b"a\x1b[2J",
    b"a\x7fb",
    b"a\xc2\x85b",
    b"a\xc2\x9bb",
    b"a\xe2\x80\xa8b",
    b"a\xe2\x80\xa9b",
)
NOT_TEXT: Final = (b"a\xff", b"\xc0\xaf", b"a\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\xc3")
LONG: Final = b"n" * 90 + b"/"


def extended(body: bytes) -> bytes:
    """A pax header that says whatever it says."""
    return header("p", kind=b"x", size=len(body)) + content(body)


def gnu(name: bytes, kind: bytes = b"L") -> bytes:
    return header("././@LongLink", kind=kind, size=len(name) + 1) + content(name + b"\0")


CARRIERS: Final[dict[str, Callable[[bytes, bytes], bytes]]] = {
    "a header": lambda name, kind: header(name, kind=kind, link=b"t"),
    "a pax header": lambda name, kind: pax({"path": name}) + header("x", kind=kind, link=b"t"),
    "a GNU header": lambda name, kind: gnu(name) + header("x", kind=kind, link=b"t"),
    "a packed header": lambda name, kind: header(name, kind=kind, link=b"t"),
}
TARGETS: Final[dict[str, Callable[[bytes, bytes], bytes]]] = {
    "a header": lambda target, kind: header("l", kind=kind, link=target),
    "a pax header": lambda target, kind: pax({"linkpath": target}) + header("l", kind=kind),
    "a GNU header": lambda target, kind: gnu(target, b"K") + header("l", kind=kind, link=b"t"),
}
KINDS: Final = {"file": b"0", "folder": b"5", "symlink": b"2"}


def names() -> Iterator[tuple[str, Row]]:
    for carrier, carry in CARRIERS.items():
        wrap = gz if carrier == "a packed header" else bytes
        for kind, flag in KINDS.items():
            for name in OUTSIDE:
                data = tar(carry(name.encode(), flag))
                yield f"{kind} {name} in {carrier}", (wrap(data), LEAVES)
        for raw in UNPRINTABLE:
            data = tar(carry(raw, b"0"))
            yield f"{raw!r} in {carrier}", (wrap(data), "control characters")
        for raw in NOT_TEXT:
            data = tar(carry(raw, b"0"))
            yield f"{raw!r} in {carrier}", (wrap(data), "not UTF-8")


def targets() -> Iterator[tuple[str, Row]]:
    for carrier, carry in TARGETS.items():
        for target in OUTSIDE:
            if target != "a/..":  # the root of the archive itself
                data = tar(file("a/b"), carry(target.encode(), b"2"))
                yield f"symlink to {target} in {carrier}", (data, LEAVES)
            data = tar(file("a/b"), carry(target.encode(), b"1"))
            yield f"hard link to {target} in {carrier}", (data, LEAVES)
        for raw in UNPRINTABLE:
            data = tar(carry(raw, b"2"))
            yield f"symlink to {raw!r} in {carrier}", (data, "what can't be a path")


def realpath() -> bytes:
    """Links that are each short, and together longer than the longest path that a system follows:
    a reader that asks the system where they lead is told that they lead nowhere, and writes."""
    parts, here = [], ""
    for name in "abcdefghijklmnop":
        parts += [folder(f"{here}{'d' * 200}"), symlink(f"{here}{name}", "d" * 200)]
        here += f"{name}/"
    tail = "/".join("abcdefghijklmnop")
    return tar(*parts, symlink(f"{tail}/l", "../" * 16), file(f"{tail}/l/x"))


def climbing(hops: int) -> bytes:
    """Each link stays inside; the last, through all others, does not."""
    made = [symlink("a/b/l0", "../..")]
    made += [symlink(f"l{n}", f"{'a/b/' if n == 1 else ''}l{n - 1}") for n in range(1, hops)]
    return tar(folder("a/b"), *made, symlink("out", f"l{hops - 1}/../x"))


def circle(length: int) -> bytes:
    return tar(*(symlink(f"l{n}", f"l{(n + 1) % length}") for n in range(length)))


def doubling() -> bytes:
    """Each link names the one before it twice."""
    return tar(*(symlink(f"l{n}", f"l{n - 1}/../l{n - 1}") for n in range(1, 40)), folder("l0"))


def members(count: int) -> bytes:
    return b"".join(header(f"d{n}", kind=b"5") for n in range(count)) + END


def same(count: int) -> bytes:
    return folder("./") * count + END


def zeros(gigabytes: int) -> bytes:
    """A tar.gz of one file of zeros."""
    many = gzip.compress(bytes(64 << 20), mtime=0)
    return gz(header("zeros", size=gigabytes << 30)) + many * (gigabytes * 16) + gz(END)


def long_records() -> bytes:
    one = extended(b"5 a=\n" * 256)
    return (one * 4 + folder("./")) * 4_000 + END


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def nested(levels: int) -> bytes:
    data = tar(file("bottom"))
    for _ in range(levels):
        data = gz(data)
    return data


def kinds() -> Iterator[tuple[str, Row]]:
    """Every kind of member that there is no use for in source code."""
    what = {b"3": "is a device", b"4": "is a device", b"6": "is a FIFO", b"S": "is a sparse file"}
    for flag in [bytes([n]) for n in range(256)]:
        if flag in b"\x000125xgLK7":
            continue
        data = tar(header("a", kind=flag))
        yield f"a member of kind {flag!r}", (data, what.get(flag, "unknown kind"))


def sizes() -> Iterator[tuple[str, Row]]:
    for name, raw, reason in (
        ("negative in binary", b"\xff" * 12, "garbled"),
        ("negative by a sign", b"-0000000001\0", "garbled"),
        ("positive by a sign", b"+0000000001\0", "garbled"),
        ("in decimal", b"00000000098\0", "garbled"),
        ("in hexadecimal", b"0x00000001f\0", "garbled"),
        ("with an underscore", b"0000000_100\0", "garbled"),
        ("in two parts", b"00000 00100\0", "garbled"),
        ("behind a NUL", b"\x0000000000100", "garbled"),
        ("in wide digits", "１１１１".encode(), "garbled"),  # noqa: RUF001
        ("in the first byte alone", b"\x81" + bytes(11), "garbled"),
        ("of 8 TiB", b"\x80" + (8 << 40).to_bytes(11, "big"), "more than the"),
        ("of all there is", b"\x80" + b"\xff" * 11, "impossible size"),
        ("just below the largest", b"\x80" + ((1 << 62) - 1).to_bytes(11, "big"), "more than the"),
        ("just above the largest", b"\x80" + ((1 << 62) + 1).to_bytes(11, "big"), "impossible"),
        ("of the largest octal", b"777777777777", "more than the"),
    ):
        data = tar(header("a", size=raw))
        yield f"a size {name}", (data, reason)
    for value in (
        b"-1",
        b"+1",
        b"1e3",
        b" 1",
        b"0x10",
        b"1_0",
        b"9" * 19,
        b"\xd9\xa1",
        b"1.0",
        b"1\0",
    ):
        data = tar(pax({"size": value}), file("a"))
        yield f"a pax size of {value!r}", (data, "impossible size")


def pax_tricks() -> Iterator[tuple[str, Row]]:
    bodies = {
        "no length": b"path=x\n",
        "a length of nothing": b" path=x\n",
        "a length of 0": b"0 path=x\n",
        "a negative length": b"-8 path=x\n",
        "a length that ends early": b"5 path=x\n",
        "a length that ends late": b"99 path=x\n",
        "a huge length": b"99999999 path=x\n",
        "a length of a million digits": b"9" * 1_000_000 + b" path=x\n",
        "a length in letters": b"ten path=x\n",
        "a length in odd digits": "１０ path=x\n".encode(),  # noqa: RUF001
        "no equals sign": b"9 pathxx\n",
        "no line end": b"9 path=xx",
        "no key and no value": b"3 \n",
        "only zeros": bytes(20),
        "a record in a record": b"7 11 path=x\n",
        "many records": b"5 a=\n" * 257,
    }
    for name, body in bodies.items():
        data = tar(extended(body), file("a"))
        reason = "more than 256 records" if "many" in name else "garbled pax header"
        yield f"a pax header with {name}", (data, reason)
    for key in ("path", "linkpath", "size"):
        data = tar(pax({key: b"1"}, b"g"), file("a"))
        yield f"a global header with a {key}", (data, "global header")
    for key in ("GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.name", "GNU.sparse.realsize"):
        data = tar(pax({key: b"1"}), file("a"))
        yield f"a pax header with {key}", (data, "sparse file")


def others() -> Iterator[tuple[str, Row]]:
    """Archives of kinds that are not taken: each is told by its name, and what is taken."""
    heads = {
        "zip": (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"PK00PK\x03\x04"),
        "bzip2": (b"BZh1", b"BZh9"),
        "xz": (b"\xfd7zXZ\0",),
        "zstandard": (b"\x28\xb5\x2f\xfd",),
        "7z": (b"7z\xbc\xaf\x27\x1c",),
        "rar": (b"Rar!\x1a\x07\0", b"Rar!\x1a\x07\x01\0"),
        "lzip": (b"LZIP\x01",),
        "lzma": (b"\x5d\0\0\x80\0",),
        "lz4": (b"\x04\x22\x4d\x18",),
        "compress": (b"\x1f\x9d\x90",),
        "ar": (b"!<arch>\ndebian-binary",),
        "cpio": (b"070701", b"070707"),
    }
    for name, magics in heads.items():
        for magic in magics:
            reason = f"is a {name} archive; send a tar or a tar.gz"
            yield f"{name} as {magic!r}", (magic + bytes(600), reason)


def rows() -> Iterator[tuple[str, Row]]:
    for part in (names, targets, kinds, sizes, pax_tricks, others):
        yield from part()
