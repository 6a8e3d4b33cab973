"""Server-sent events, read piece by piece (https://html.spec.whatwg.org/multipage/server-sent-events).

Pure: bytes go in as they come off the wire, whole events come out. However the bytes are cut, the
events are the same.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

import msgspec

_LINE_END = re.compile(r"\r\n|\n|\r")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is the last one that the stream named: what to send back to go on after it."""

    event: str = "message"
    data: str = ""
    id: str = ""


class Parser:
    """Feed it bytes. `last_id` and `retry` (seconds) are what a reconnect needs."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._begun = False
        self._after_cr = False
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The events that `chunk` completed."""
        for line in self._lines(self._decoder.decode(chunk)):
            if line:
                self._field(line)
            elif (message := self._dispatch()) is not None:
                yield message

    def _lines(self, text: str) -> list[str]:
        if not text:
            return []
        if not self._begun:
            self._begun, text = True, text.removeprefix("\ufeff")
        if self._after_cr:  # its line ended already; this may be the other half of \r\n
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        *lines, self._rest = _LINE_END.split(self._rest + text)
        return lines

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self.last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = int(value) / 1000
            case _:  # a comment, or a field of the future
                pass

    def _dispatch(self) -> Message | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        if not data:
            return None
        return Message(event=event or "message", data="\n".join(data), id=self.last_id)
