"""What a job goes on waiting for, as the decision leaves it: words are made of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from services.scheduler.queue.line import Turn
from services.scheduler.queue.quota import Row
from shared.ids import JobId
from shared.waits import Cause


class Stay:
    __slots__ = ("ahead", "cause", "first", "row", "starts_in", "turn", "yielding")

    def __init__(
        self,
        turn: Turn,
        cause: Cause | None = None,
        *,
        ahead: int = 0,
        first: Sequence[JobId] = (),
        starts_in: float = inf,
        row: Row | None = None,
    ) -> None:
        self.turn = turn
        self.cause = cause  # None: what is short of GPUs is to be seen at the end
        self.ahead = ahead
        self.first = tuple(first)
        self.starts_in = starts_in
        self.row = row  # the quota that is short
        self.yielding: tuple[JobId, ...] = ()  # those that give way to it
