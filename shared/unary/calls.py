"""The calls of one connection that were sent and are not over, and how each comes to its end.

A call that is over is forgotten at once: what still comes of it is counted and dropped.
"""

from __future__ import annotations

from shared.dial import Trouble
from shared.unary import frames
from shared.unary.call import Call, Outcome
from shared.unary.calm import Calm
from shared.unary.codes import Reset
from shared.unary.faults import CallFault, ConnectionFault
from shared.unary.intake import Intake
from shared.unary.limits import Limits
from shared.unary.outgoing import Outgoing
from shared.unary.sending import Pieces


class Calls:
    """`replies` are frames that are to be sent soon. `closing`: no more calls may be sent."""

    def __init__(self, limits: Limits) -> None:
        self.closing = False
        self.replies: Pieces = []
        self.calm = Calm()
        self.intake = Intake(self.replies, limits.held)
        self.open: dict[int, Call] = {}
        self.out = Outgoing(self.open, limits, self.calm)

    def __len__(self) -> int:
        return len(self.open) + len(self.out.waiting)

    def __contains__(self, call: Call) -> bool:
        return call.stream in self.open or call in self.out.waiting

    def on(self, stream: int) -> Call | None:
        """The call on a stream; None if it is over. Raises ConnectionFault when there was none."""
        call = self.open.get(stream)
        if call is None and (stream > self.out.last or not stream & 1):
            raise ConnectionFault(Reset.PROTOCOL_ERROR, "It answers what nobody asked.")
        return call

    def settle(self, call: Call, outcome: Outcome, *, broken_off: bool = False) -> None:
        """`broken_off`: by us, so that more may come of it."""
        self.out.drop(call)
        if self.open.pop(call.stream, None) is not None:
            self.intake.over(call, broken_off=broken_off)
        if not call.over.done():
            call.outcome = outcome
            call.over.set_result(None)

    def break_off(self, call: Call, code: Reset, outcome: Outcome) -> None:
        if call.stream and (call.unsent or not call.ended):
            self.replies.append(frames.reset(call.stream, code))
        self.settle(call, outcome, broken_off=not call.ended)

    def refuse(self, call: Call, fault: CallFault) -> None:
        self.break_off(call, fault.code, call.lost(Trouble.BAD, fault.detail))

    def leave(self, last: int, detail: str) -> None:
        """The server does nothing about calls above the stream `last`, nor about new ones."""
        self.closing = True
        for call in [*self.open.values(), *self.out.waiting]:
            if not call.stream or call.stream > last:
                self.settle(call, call.lost(Trouble.REFUSED, detail, done=False))

    def lose(self, trouble: Trouble, detail: str) -> None:
        """The connection has ended, and all calls with it."""
        self.closing = True
        for call in [*self.open.values(), *self.out.waiting]:
            cut = trouble is Trouble.DROPPED and call.headed
            self.settle(call, call.lost(Trouble.BAD if cut else trouble, detail))
