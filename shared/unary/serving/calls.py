"""The calls of one connection, from their heads to their ends.

A call is `open` until its last frame is sent or it is broken off. It counts as long as it is open
or worked on: a client that gives up calls as fast as it makes them can't have more in hand.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from shared.unary import frames
from shared.unary.body import Body
from shared.unary.calm import PAYS, Calm
from shared.unary.codes import Code, Reset
from shared.unary.faults import ConnectionFault
from shared.unary.sending import Pieces
from shared.unary.serving.asked import Asked
from shared.unary.serving.call import Call
from shared.unary.serving.hall import Hall
from shared.unary.serving.intake import Intake
from shared.unary.serving.outgoing import Outgoing
from shared.unary.serving.refused import Refused
from shared.unary.serving.told import http, refusal

log = logging.getLogger(__name__)

DONE: Final = 16.0  # idle frames that a call is worth
LATE: Final = 1.0  # seconds after its deadline, which a method heeds by itself
PACE: Final = 1 << 16  # bytes of its answer that a client has to take while it may stall

_LAST: Final = frames.END_HEADERS | frames.END_STREAM

UNKNOWN: Final = Refused(Code.UNIMPLEMENTED, "There is no such method")
FULL: Final = Refused(Code.RESOURCE_EXHAUSTED, "There are too many calls at once")
EMPTY: Final = Refused(Code.INVALID_ARGUMENT, "There is no message in this call")
SLOW: Final = Refused(Code.DEADLINE_EXCEEDED, "The request does not come")
OVER: Final = Refused(Code.DEADLINE_EXCEEDED, "The deadline of the call has passed")
WRONG: Final = Refused(Code.INTERNAL, "Something went wrong here")
ENDED: Final = Refused(Code.CANCELLED, "The call was given up here")


class Calls:
    """`replies` are frames that are to be sent; `flush` is called when some came by themselves."""

    def __init__(self, hall: Hall, flush: Callable[[], None]) -> None:
        self.last = 0  # stream that was opened last
        self.deaf = False  # what is new is not looked at
        self.spoke = False  # some of an answer was sent since this was last set back
        self.count = 0  # open or worked on
        self.replies: Pieces = []
        self.calm = Calm()
        self.open: dict[int, Call] = {}
        self.intake = Intake(self.replies)
        self.out = Outgoing(self.open, self.calm, self._sent)
        self._hall = hall
        self._flush = flush
        self._loop = asyncio.get_running_loop()

    def on(self, stream: int) -> Call | None:
        """The call on a stream; None if it is over. Raises ConnectionFault when there was none."""
        call = self.open.get(stream)
        if call is None and (stream > self.last or not stream & 1):
            raise ConnectionFault(Reset.PROTOCOL_ERROR, "It goes on with a call that is none.")
        return call

    def begin(self, stream: int, asked: Asked, now: float, *, ended: bool) -> None:
        self.last = stream
        if self.deaf:
            self.intake.unread()
        elif asked.malformed:
            self._pass(stream, Reset.PROTOCOL_ERROR)
        elif self.count >= self._hall.limits.streams:
            self._pass(stream, Reset.REFUSED_STREAM)
        elif asked.status:
            self._bare(stream, http(asked.status), ended=ended)
        else:
            self._begin(stream, asked, now, ended=ended)

    def _begin(self, stream: int, asked: Asked, now: float, *, ended: bool) -> None:
        method = self._hall.methods.get(asked.path)
        refused = asked.refused or (UNKNOWN if method is None else None)
        if refused is None and self._hall.calls >= self._hall.limits.calls:
            refused = FULL
        if refused is None and ended:
            refused = EMPTY
        if method is None or refused is not None:
            self._bare(stream, refusal(refused or UNKNOWN), ended=ended)
            return
        deadline = None if asked.seconds is None else now + asked.seconds
        call = Call(stream, method, deadline, self._hall.limits.message, now)
        call.window = self.out.initial
        self.open[stream] = call
        self.count += 1
        self._hall.calls += 1

    def _pass(self, stream: int, code: Reset) -> None:
        self.intake.unread()
        self.replies.append(frames.reset(stream, code))

    def _bare(self, stream: int, block: bytes, *, ended: bool) -> None:
        """Answer a call that was not taken up."""
        self.calm.earn(1)
        self.spoke = True
        self.replies.append(frames.frame(frames.HEADERS, _LAST, stream, block))
        if not ended:
            self._pass(stream, Reset.NO_ERROR)

    def heard(self, call: Call) -> None:
        """Of its message, or that there is no more of it."""
        if call.task is not None:
            return
        message = call.come()
        if message is not None:
            task = self._loop.create_task(self._work(call, message))
            call.task, call.working = task, True
            self._hall.tasks.add(task)
            task.add_done_callback(partial(self._done, call))
        elif call.ended:
            self.refuse(call, EMPTY)

    async def _work(self, call: Call, message: bytes) -> None:
        try:
            answer = await call.method.answer(message, call.deadline)
            body = Body(answer)
        except Refused as refused:
            self.refuse(call, refused)
        except Exception:
            log.exception("a call failed")
            self.refuse(call, WRONG)
        else:
            self._answer(call, body)
        self._flush()

    def _answer(self, call: Call, body: Body) -> None:
        if self.open.get(call.stream) is not call:
            return
        call.answer, call.size = body, body.unsent
        self.spoke = True
        if not self.out.begin(call, self.replies):
            call.mark, call.marked = call.size, self._loop.time()
            self._hall.wait(call, self.cut)

    def _sent(self, call: Call, pieces: Pieces) -> None:
        self.calm.earn(DONE + call.size / PAYS)
        self.spoke = True
        if not call.ended:
            pieces.append(frames.reset(call.stream, Reset.NO_ERROR))
        self._close(call)

    def refuse(self, call: Call, refused: Refused) -> None:
        """Its answer is this status. Of a call that is over, nothing happens."""
        if self.open.get(call.stream) is call and call.unsent == call.size:
            self.calm.earn(DONE)
            self.spoke = True
            block = refusal(refused)
            self.replies.append(frames.frame(frames.HEADERS, _LAST, call.stream, block))
            if not call.ended:
                self.replies.append(frames.reset(call.stream, Reset.NO_ERROR))
            self._close(call)

    def reset(self, call: Call, code: Reset) -> None:
        """Break it off."""
        self.replies.append(frames.reset(call.stream, code))
        self.drop(call)

    def drop(self, call: Call) -> None:
        """Nobody waits for it any more."""
        self._close(call)
        if call.task is not None:
            call.task.cancel()

    def cut(self, call: Call) -> None:
        """Its answer is not taken."""
        self.reset(call, Reset.ENHANCE_YOUR_CALM)
        self._flush()

    def lose(self) -> None:
        """The connection has ended, and all calls with it."""
        self.deaf = True
        for call in list(self.open.values()):
            self.drop(call)

    def look(self, now: float) -> None:
        """End what takes too long."""
        slow, stall = self._hall.limits.slow, self._hall.limits.stall
        for call in list(self.open.values()):
            if call.task is None:
                until = call.since + slow
                if now >= (until if call.deadline is None else min(until, call.deadline)):
                    self.refuse(call, SLOW)
            elif call.answer is not None:
                if call.mark - call.unsent >= PACE:
                    call.mark, call.marked = call.unsent, now
                    self._hall.moves(call)
                elif now - call.marked >= stall:
                    self.reset(call, Reset.ENHANCE_YOUR_CALM)
            elif call.deadline is not None and now >= call.deadline + LATE:
                self.refuse(call, OVER)
                call.task.cancel()

    def _close(self, call: Call) -> None:
        self.out.drop(call)
        del self.open[call.stream]
        self.intake.over(call)
        self._hall.sent(call)
        if not call.working:
            self._leave(call)

    def _done(self, call: Call, task: asyncio.Task[None]) -> None:
        self._hall.tasks.discard(task)
        call.working = False
        if self.open.get(call.stream) is call:  # its answer is being sent
            self._free(call)
            if call.answer is None:
                self.refuse(call, ENDED)
                self._flush()
        else:
            self._leave(call)

    def _leave(self, call: Call) -> None:
        self._free(call)
        self.count -= 1
        self._hall.calls -= 1
        if self.deaf:
            self._flush()

    def _free(self, call: Call) -> None:
        held, call.held = call.held, 0
        if held:
            call.method.free(held)
