"""A message that is being sent, with the five bytes before it."""

from __future__ import annotations

from shared.unary.message import prefix


class Body:
    """`unsent` are its bytes that were not sent yet."""

    __slots__ = ("_at", "_message", "_prefix", "unsent")

    def __init__(self, message: bytes) -> None:
        """Raises ValueError for a message that is too long for any call."""
        self._prefix = prefix(len(message))
        self._message = memoryview(message)
        self._at = 0
        self.unsent = len(self._prefix) + len(message)

    def payload(self, size: int) -> tuple[bytes | memoryview, ...]:
        """The next `size` bytes to send, of which there are as many."""
        self.unsent -= size
        start, self._prefix = self._prefix[:size], self._prefix[size:]
        at, self._at = self._at, self._at + size - len(start)
        return start, self._message[at : self._at]
