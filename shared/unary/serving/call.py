"""One call: what has come of its message, and what is left to send of its answer."""

from __future__ import annotations

import asyncio

from shared.unary.body import Body
from shared.unary.message import Message
from shared.unary.receiving import CALL
from shared.unary.serving.method import Method


class Call:
    __slots__ = (
        "answer",
        "credit",
        "deadline",
        "ended",
        "held",
        "mark",
        "marked",
        "message",
        "method",
        "since",
        "size",
        "stream",
        "taken",
        "task",
        "window",
        "working",
    )

    def __init__(
        self, stream: int, method: Method, deadline: float | None, limit: int, now: float
    ) -> None:
        self.stream = stream
        self.method = method
        self.deadline = deadline
        self.since = now
        self.ended = False  # the client will say no more
        self.message = Message(limit, more=True)
        self.credit = CALL  # bytes that we take of it now
        self.taken = 0  # bytes taken that the client has not been told of
        self.held = 0  # bytes that count as kept
        self.task: asyncio.Task[None] | None = None
        self.working = False  # the task has not ended
        self.answer: Body | None = None
        self.size = 0  # bytes of the answer
        self.window = 0  # bytes of the answer that the client takes now
        self.mark, self.marked = 0, 0.0  # how many were left of the answer, and when

    @property
    def unsent(self) -> int:
        return 0 if self.answer is None else self.answer.unsent

    def payload(self, size: int) -> tuple[bytes | memoryview, ...]:
        """The next `size` bytes of the answer, of which there are as many."""
        assert self.answer is not None
        return self.answer.payload(size)

    def come(self) -> bytes | None:
        """The message, once, when it is whole."""
        message, self.message.whole = self.message.whole, None
        return message
