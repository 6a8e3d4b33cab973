"""Whose turn it is: one line of owners, each with its own jobs in order. Pure.

First the higher class, then who is within what is its own before who would borrow, then the owner
with the smaller share, then who asked first. An owner's place changes only when it had a turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heapreplace

from services.scheduler.queue.quota import Quotas
from services.scheduler.queue.share import Shares
from services.scheduler.queue.values import Slot, Waiting
from services.scheduler.queue.wish import Wish
from shared.ids import JobId

Key = tuple[int, bool, float, float, int, JobId]


class Turn:
    """A job that waits, and what it was given so far."""

    __slots__ = (
        "again",
        "borrows",
        "charged",
        "copies",
        "job",
        "kept",
        "kind",
        "later",
        "slots",
        "wish",
    )

    def __init__(self, job: Waiting, wish: Wish) -> None:
        self.job = job
        self.wish = wish
        self.slots: list[Slot] = []
        self.copies = 0  # given to it
        self.kind = ""  # the type of these
        self.borrows = True  # it may take what is not its owner's own
        self.later = False  # it had its turn for what is its owner's own ...
        self.again = False  # ... and is to have one for what it would borrow
        self.kept: tuple[str, ...] = ()  # types that it keeps
        self.charged: tuple[str, int] | None = None  # what it counts for while it waits

    @property
    def missing(self) -> int:
        return self.job.missing - self.copies


class Line:
    def __init__(self, turns: Iterable[Turn], shares: Shares, quotas: Quotas) -> None:
        self._shares = shares
        self._quotas = quotas
        self._turns: dict[str, list[Turn]] = {}  # of each owner, the first last
        for turn in turns:
            self._turns.setdefault(turn.job.owner, []).append(turn)
        for own in self._turns.values():
            own.sort(key=_own_order, reverse=True)
        self._heap = [(self._key(own[-1]), owner) for owner, own in self._turns.items()]
        heapify(self._heap)

    def __iter__(self) -> Iterator[Turn]:
        """One after another; what one was given or keeps is to be charged before the next."""
        while self._heap:
            owner = self._heap[0][1]
            own = self._turns[owner]
            turn = own.pop()
            yield turn
            if turn.again:
                turn.again, turn.later = False, True
                own.append(turn)
            if own:
                heapreplace(self._heap, (self._key(own[-1]), owner))
            else:
                heappop(self._heap)

    def rest(self) -> Iterator[Turn]:
        """Those whose turn has not come, in no order between owners."""
        for own in self._turns.values():
            yield from reversed(own)

    def _key(self, turn: Turn) -> Key:
        job = turn.job
        turn.borrows = turn.later or not self._guaranteed(turn)
        return (
            -job.priority,
            turn.borrows,
            self._shares.of(job.owner),
            -job.age,
            job.seq,
            job.job,
        )

    def _guaranteed(self, turn: Turn) -> bool:
        owner, wish = turn.job.owner, turn.wish
        if owner not in self._quotas.owners:
            return False
        count = wish.count * wish.least
        return any(self._quotas.guaranteed(owner, kind) >= count for kind in wish.fitting)


def _own_order(turn: Turn) -> tuple[int, float, int, JobId]:
    return -turn.job.priority, -turn.job.age, turn.job.seq, turn.job.job
