"""What a server prints, as numbered lines in capped files that the driver ships and deletes.

A file `log/<number of its first line>.jsonl` holds one JSON object a line, exactly the fields of a
Line. Numbers have no gaps: what is too much is dropped before it gets a number, and a line on
stream `platform` says how much. Too much is more than RATE over time, or more than KEPT that nobody
has collected yet.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime

LONGEST = 8192  # bytes of a line; the rest of it is cut off
SEGMENT = 1 << 20
KEPT = 16 << 20
RATE, BURST = 512 << 10, 4 << 20  # bytes a second; bytes at once
OVERHEAD = 100  # what a line costs beside its text
SETTLE = 1.0  # seconds between two looks at how much is kept


class Output:
    """The log of one replica, in the folder open as `folder`. One writer at a time."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._next = _last_number(folder) + 1
        self._file: int | None = None
        self._size = 0
        self._budget = float(BURST)
        self._filled = self._looked = self.now()
        self._full = False
        self._lost_lines = self._lost_bytes = 0
        self._parts = {"stdout": b"", "stderr": b""}
        self._cutting = {"stdout": False, "stderr": False}
        self.complaint = ""  # the last line on stderr that began with `slipway: `

    def feed(self, stream: str, chunk: bytes) -> None:
        """Take what was read from a pipe. Never blocks for long, never keeps more than a line."""
        if not self._affordable(chunk):
            self._lost_lines += chunk.count(b"\n")
            self._lost_bytes += len(chunk)
            self._parts[stream] = b""
            self._cutting[stream] = not chunk.endswith(b"\n")
            return
        self._report_loss()
        *lines, rest = chunk.split(b"\n")
        batch = []
        for line in lines:
            whole = self._parts[stream] + line
            self._parts[stream] = b""
            if not self._cutting[stream]:
                batch.append((stream, whole))
            self._cutting[stream] = False
        if not self._cutting[stream]:
            self._parts[stream] += rest
        if len(self._parts[stream]) > LONGEST:
            batch.append((stream, self._parts[stream]))
            self._parts[stream] = b""
            self._cutting[stream] = True
        self._keep(batch)

    def end_lines(self) -> None:
        """A life is over: what it began to print is a line, too."""
        self._keep([(stream, part) for stream, part in self._parts.items() if part])
        self._parts = dict.fromkeys(self._parts, b"")
        self._cutting = dict.fromkeys(self._cutting, False)

    def say(self, text: str) -> None:
        """A line of our own."""
        self._keep([("platform", text.encode())])

    def settle(self) -> None:
        """Say what was lost, now that there may be room again. To be called now and then."""
        if self._affordable(b""):
            self._report_loss()

    def now(self) -> float:
        return time.monotonic()

    def stamp(self) -> dict[str, str]:
        """What every line that is kept now says beside its number, stream and text."""
        return {"at": datetime.now(UTC).isoformat()}

    def _affordable(self, chunk: bytes) -> bool:
        now = self.now()
        self._budget = min(BURST, self._budget + (now - self._filled) * RATE)
        self._filled = now
        if self._full and now - self._looked > SETTLE:
            self._looked = now
            self._full = self._kept() >= KEPT
        if self._full or self._budget <= 0:
            return False
        self._budget -= len(chunk) + OVERHEAD * chunk.count(b"\n")
        return True

    def _report_loss(self) -> None:
        if self._lost_bytes:
            lines, size = self._lost_lines, self._lost_bytes
            self._lost_lines = self._lost_bytes = 0
            self.say(f"{lines} lines ({size} bytes) were dropped: more output than is kept")

    def _keep(self, batch: list[tuple[str, bytes]]) -> None:
        stamp = self.stamp()
        rows = []
        for stream, raw in batch:
            text = raw[:LONGEST].decode("utf-8", "replace").replace("\0", "").rstrip("\r")
            if len(raw) > LONGEST:
                text += " [cut]"
            if stream == "stderr" and text.startswith("slipway: "):
                self.complaint = text[len("slipway: ") :]
            line = {"line": self._next, **stamp, "stream": stream, "text": text}
            rows.append(json.dumps(line, separators=(",", ":")))
            self._next += 1
        if rows:
            try:
                self._write("\n".join(rows).encode() + b"\n", self._next - len(rows))
            except OSError:  # a full disk must not end the server, nor leave a gap in the numbers
                self._next -= len(rows)
                self._lost_lines += len(batch)
                self._lost_bytes += sum(len(raw) for _, raw in batch)

    def _write(self, content: bytes, first: int) -> None:
        if self._file is None or self._size >= SEGMENT:
            if self._file is not None:
                os.close(self._file)
                self._file = None
                self._full = self._kept() >= KEPT
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            self._file = os.open(f"{first:012}.jsonl", flags, 0o600, dir_fd=self._folder)
            self._size = 0
        try:
            rest = content
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(content)

    def _kept(self) -> int:
        total = 0
        for name in os.listdir(self._folder):
            try:
                total += os.stat(name, dir_fd=self._folder).st_size
            except FileNotFoundError:  # collected by the driver meanwhile
                continue
        return total


def _last_number(folder: int) -> int:
    """Of the lines kept by an earlier writer, which may have died in the middle of one."""
    for name in sorted(os.listdir(folder), reverse=True):
        file = os.open(name, os.O_RDONLY, dir_fd=folder)
        with os.fdopen(file, "rb") as content:
            whole = content.read().count(b"\n")
        if whole:
            return int(name.split(".")[0]) + whole - 1
    return 0
