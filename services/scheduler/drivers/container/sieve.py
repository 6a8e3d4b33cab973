"""Tells the reports of the first process (init.sh) from what the server prints between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

LONGEST: Final = 200  # bytes of a report; what is longer is no report


class Report(NamedTuple):
    """What follows the mark: `began 0 0`, `ended 3 1 1 20`, `never 78 1`; on stdout nothing."""

    words: list[str]


class Sieve:
    """For one stream. `mark` begins with a byte that programs hardly ever print."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._held = b""  # what may be the beginning of a report

    def feed(self, body: bytes) -> Iterator[bytes | Report]:
        """Output and reports, in order. A report may begin in the middle of a line."""
        data = self._held + body
        while (at := data.find(self._mark)) >= 0:
            end = data.find(b"\n", at, at + LONGEST)
            if end < 0:
                if len(data) < at + LONGEST:  # the rest of it is still to come
                    break
                end = at + len(self._mark)
                yield data[:end]
                data = data[end:]
                continue
            if at:
                yield data[:at]
            yield Report(data[at + len(self._mark) : end].decode("ascii", "replace").split())
            data = data[end + 1 :]
        kept = at if at >= 0 else self._beginning(data)
        self._held = data[kept:]
        if kept:
            yield data[:kept]

    def _beginning(self, data: bytes) -> int:
        """Where the data ends with a part of the mark, or its length."""
        at = data.rfind(self._mark[:1])
        return at if at >= 0 and self._mark.startswith(data[at:]) else len(data)
