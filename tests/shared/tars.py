"""Tars made by hand, so that they may say what no honest program would write."""

from __future__ import annotations

import gzip
import io
import tarfile

END = bytes(1024)


def header(
    name: bytes | str,
    *,
    kind: bytes = b"0",
    size: int | bytes = 0,
    link: bytes | str = b"",
    mode: int = 0o644,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    def raw(text: bytes | str, length: int) -> bytes:
        return (text.encode() if isinstance(text, str) else text).ljust(length, b"\0")[:length]

    sized = size if isinstance(size, bytes) else b"%011o\0" % size
    parts = [
        raw(name, 100),
        b"%07o\0" % mode,
        bytes(16),
        raw(sized, 12),
        bytes(12),
        b" " * 8,
        kind,
        raw(link, 100),
        raw(magic, 8),
        bytes(80),
        raw(prefix, 155),
        bytes(12),
    ]
    block = b"".join(parts)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def content(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def file(name: bytes | str, data: bytes = b"x", **others: int) -> bytes:
    return header(name, size=len(data), mode=others.get("mode", 0o644)) + content(data)


def folder(name: str) -> bytes:
    return header(name, kind=b"5")


def symlink(name: str, target: bytes | str) -> bytes:
    return header(name, kind=b"2", link=target)


def hardlink(name: str, target: str) -> bytes:
    return header(name, kind=b"1", link=target)


def pax(records: dict[str, bytes], kind: bytes = b"x") -> bytes:
    data = b"".join(record(key.encode(), value) for key, value in records.items())
    return header("PaxHeaders/x", kind=kind, size=len(data)) + content(data)


def record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def tar(*parts: bytes) -> bytes:
    return b"".join(parts) + END


def gz(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


def packed(files: dict[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """An honest tar, by Python's own tarfile."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()
