"""The windows by which servers may send to us their answers.

A call's is given back as its answer is taken, and is held back when the unfinished answers together
are more than we want to hold: from then on one call is favoured until it is over, then the next.
"""

from __future__ import annotations

from shared.unary.call import Call
from shared.unary.codes import Reset
from shared.unary.faults import CallFault
from shared.unary.frames import window_update
from shared.unary.receiving import CALL, Receiving
from shared.unary.sending import Pieces


class Intake(Receiving):
    def __init__(self, replies: Pieces, held: int) -> None:
        super().__init__(replies)
        self._most = held
        self._held = 0
        self._favoured: Call | None = None
        self._waiting: dict[int, Call] = {}

    def take(self, call: Call, piece: memoryview, size: int) -> None:
        """DATA of `call`, of which `piece` is left without padding. Raises CallFault."""
        call.credit -= size
        if call.credit < 0:
            raise CallFault("It sends more than it may.", Reset.FLOW_CONTROL_ERROR)
        if not call.headed:
            raise CallFault("Its answer has no head.")
        before = call.answer.held
        if piece:
            call.answer.take(piece)
        self._held += call.answer.held - before
        call.taken += size
        if call.taken >= CALL // 2 and call.answer.left > call.credit:
            self._give_back(call)

    def over(self, call: Call, *, broken_off: bool) -> None:
        if broken_off:
            self._late += max(0, call.credit)
        self._held -= call.answer.held
        self._waiting.pop(call.stream, None)
        if self._favoured is call:
            self._favoured = None
        while self._waiting and self._has_room():
            self._give_back(self._waiting.pop(next(iter(self._waiting))))

    def _has_room(self) -> bool:
        return self._held < self._most or self._favoured is None

    def _give_back(self, call: Call) -> None:
        if not self._has_room() and self._favoured is not call:
            self._waiting[call.stream] = call
            return
        if self._held >= self._most:
            self._favoured = call
        self._replies.append(window_update(call.stream, call.taken))
        call.credit += call.taken
        call.taken = 0
