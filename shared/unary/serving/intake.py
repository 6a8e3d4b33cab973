"""The windows by which clients may send to us their messages: no more than there is room for."""

from __future__ import annotations

from shared.unary.codes import Reset
from shared.unary.faults import CallFault
from shared.unary.frames import window_update
from shared.unary.receiving import CALL, Receiving
from shared.unary.serving.call import Call


class Intake(Receiving):
    def take(self, call: Call, piece: memoryview, size: int) -> None:
        """DATA of `call`, of which `piece` is left without padding. What comes after the message is
        dropped. Raises CallFault, and Refused when there is no room."""
        call.credit -= size
        if call.credit < 0:
            raise CallFault("It sends more than it may.", Reset.FLOW_CONTROL_ERROR)
        if call.task is not None or not piece:
            return
        message = call.message
        needed = message.held + len(piece)
        if needed > call.held:
            self._hold(call, needed)
        message.take(piece)
        call.taken += size
        if call.taken >= CALL // 2 and message.left > call.credit:
            self._replies.append(window_update(call.stream, call.taken))
            call.credit += call.taken
            call.taken = 0

    def _hold(self, call: Call, needed: int) -> None:
        """By what has come, and not by what was announced: that costs nothing."""
        if call.message.left >= 0:
            needed = min(2 * needed, max(needed, call.message.held + call.message.left))
        call.method.hold(needed - call.held, call.held)
        call.held = needed

    def over(self, call: Call) -> None:
        """More of it may come, if the client has not ended."""
        if not call.ended:
            self._late += max(0, call.credit)

    def unread(self) -> None:
        """As `over`, of a call that was not looked at."""
        self._late += CALL
