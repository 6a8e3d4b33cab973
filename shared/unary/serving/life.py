"""Whether a client is there and decent: its greeting, its silence, its pings, and its farewell."""

from __future__ import annotations

from enum import Enum
from typing import Final

from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault
from shared.unary.serving.limits import Limits

STRIKES: Final = 3  # pings too many that are let pass
ECHO: Final = b"slipway?"  # of a ping that asks whether the client is there ...
BYE: Final = b"slipway!"  # ... and of one that finds out whether it was told to go
FAREWELL: Final = 5.0  # seconds for the answer to that


class Due(Enum):
    """What is to be done about a connection."""

    NOTHING = "nothing"
    ASK = "ask whether the client is there"
    LEAVE = "tell it to go"
    FAREWELL = "take no more calls"
    END = "end it now"


class Life:
    """Times are of the loop."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.heard = now  # when something came
        self.busy = now  # when there was a call
        self.full: float | None = None  # since when the client takes nothing
        self.left: float | None = None  # since when it knows that it is to go
        self.gone = False  # it knows it for certain
        self._limits = limits
        self._since = now
        self._last = 0
        self._asked: float | None = None
        self._amid: tuple[int, float] = (-1, now)  # frames that had come, and since when
        self._strikes = 0
        self._last_ping: float | None = None

    def spoke(self) -> None:
        """We have said something that a client may measure with pings."""
        self._strikes, self._last_ping = 0, None

    def pinged(self, now: float) -> None:
        """By the client. Raises ConnectionFault, in the words that gRPC has for it."""
        if self._last_ping is not None and now - self._last_ping < self._limits.between:
            self._strikes += 1
            if self._strikes > STRIKES:
                raise ConnectionFault(Reset.ENHANCE_YOUR_CALM, "too_many_pings")
        self._last_ping = now

    def echoed(self, payload: bytes) -> None:
        """The client has answered a ping of ours."""
        if payload == BYE and self.left is not None:
            self.gone = True

    def look(
        self, now: float, *, greeted: bool, amid: bool, seen: int, calls: int, last: int
    ) -> Due:
        """`seen` frames have come, and `amid`: the next one has begun. There are `calls`, and the
        `last` that was opened is over if there are none."""
        limits = self._limits
        if not greeted:
            return Due.END if now - self._since >= limits.greeting else Due.NOTHING
        if calls or last != self._last:
            self.busy, self._last = now, last
        if not amid or seen != self._amid[0]:
            self._amid = (seen, now)
        if now - self._amid[1] >= limits.slow:
            return Due.END
        if self.full is not None and now - self.full >= limits.stall:
            return Due.END
        if self.left is not None:
            over = not self.gone and now - self.left >= FAREWELL
            return Due.FAREWELL if over else Due.NOTHING
        if now - self.busy >= limits.idle:
            return Due.LEAVE
        return self._silence(now)

    def _silence(self, now: float) -> Due:
        if self._asked is not None and self.heard >= self._asked:
            self._asked = None
        if self._asked is not None:
            return Due.END if now - self._asked >= self._limits.echo else Due.NOTHING
        if now - self.heard >= self._limits.quiet:
            self._asked = now
            return Due.ASK
        return Due.NOTHING
