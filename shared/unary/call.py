"""One call: what is left to send of it, and what has come of its answer."""

from __future__ import annotations

import asyncio

from shared.dial import Failed, Trouble
from shared.unary.body import Body
from shared.unary.codes import Code, Reset
from shared.unary.faults import CallFault
from shared.unary.fields import Fields, is_grpc, text
from shared.unary.message import Message
from shared.unary.rejected import Rejected

Outcome = bytes | Rejected | Failed


class Call(Body):
    """`stream` is 0 as long as nothing was sent. `over` ends, with nothing, once `outcome` is."""

    __slots__ = (
        "answer",
        "block",
        "credit",
        "deadline",
        "ended",
        "headed",
        "outcome",
        "over",
        "stream",
        "taken",
        "window",
    )

    def __init__(
        self,
        block: bytes,
        message: bytes,
        deadline: float,
        limit: int,
        over: asyncio.Future[None],
    ) -> None:
        super().__init__(message)
        self.block = block
        self.deadline = deadline
        self.over = over
        self.outcome: Outcome | None = None
        self.stream = 0
        self.window = 0  # bytes that it takes from us now
        self.credit = 0  # bytes that we take from it now
        self.taken = 0  # bytes taken that it has not been told of
        self.headed = False  # the head of the answer is here
        self.ended = False  # the server will say no more
        self.answer = Message(limit)

    def fields(self, fields: Fields) -> bytes | Rejected | None:
        """The outcome, once these are the last. Raises CallFault when they can't be right."""
        if fields.wrong is not None:
            raise CallFault(fields.wrong)
        if self.headed:
            if not self.ended or fields.status is not None:
                raise CallFault("It sent the head of its answer twice.")
            return self._outcome(fields)
        if fields.status is None or (fields.status < 200 and self.ended):
            raise CallFault("Its answer has no HTTP status.")
        if fields.status < 200:
            return None
        if fields.status != 200:
            raise CallFault(f"It answered with the HTTP status {fields.status}, not by gRPC.")
        bare = self.ended and fields.content_type is None and fields.grpc_status is not None
        if not bare and not is_grpc(fields.content_type or b""):
            raise CallFault("Its answer is not of the content type application/grpc.")
        self.headed = True
        return self._outcome(fields) if self.ended else None

    def _outcome(self, fields: Fields) -> bytes | Rejected:
        status = fields.grpc_status
        if status is None:
            raise CallFault("Its answer ended without a status.")
        if not status.isdigit() or len(status) > 9:
            raise CallFault("The status of its answer is not a number.")
        if int(status) != Code.OK:
            known = int(status) <= max(Code)
            return Rejected(Code(int(status)) if known else Code.UNKNOWN, text(fields.grpc_message))
        if self.answer.whole is None:
            raise CallFault("Its answer is OK, and has no whole message.")
        return self.answer.whole

    def lost(self, trouble: Trouble, detail: str, *, done: bool = True) -> Failed:
        """It fails; `done` is False when the server says that it has not looked at the call."""
        return Failed(trouble, detail, safe=not done or not self.stream)

    def reset(self, code: int, name: str, now: float) -> Failed:
        """The server broke it off."""
        if code == Reset.REFUSED_STREAM:
            return self.lost(Trouble.REFUSED, "It refused the call.", done=False)
        if code == Reset.CANCEL and now >= self.deadline - SLACK:
            return self.lost(Trouble.SILENT, "It did not answer in time.")
        trouble = Trouble.BAD if self.headed else Trouble.DROPPED
        return self.lost(trouble, f"It broke the call off: {name}.")


SLACK = 0.05  # seconds by which a server's clock may be ahead when it gives up by grpc-timeout
