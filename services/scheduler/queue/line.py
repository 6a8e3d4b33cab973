"""Whose turn it is: one line of owners, each with its own jobs in order. Pure.

First the higher class, then who is within what is its own before who would borrow, then the owner
with the smaller share, then who asked first. An owner's place changes only when it had a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace

from services.scheduler.queue.quota import Quotas
from services.scheduler.queue.share import Shares
from services.scheduler.queue.turn import Turn
from services.scheduler.queue.values import Waiting
from services.scheduler.queue.wish import Wish
from shared.ids import JobId

Key = tuple[int, bool, float, float, int, JobId]


Wanting = tuple[Waiting, Wish]


def in_turn(waiting: Iterable[Wanting]) -> dict[str, list[Wanting]]:
    """Each owner's jobs, those that come first at the front."""
    owners: dict[str, list[Wanting]] = {}
    for each in waiting:
        own = owners.get(each[0].owner)
        if own is None:
            owners[each[0].owner] = [each]
        else:
            own.append(each)
    for own in owners.values():
        if len(own) > 1:
            own.sort(key=_own_order)
    return owners


def _own_order(wanting: Wanting) -> tuple[int, float, int, JobId]:
    job, _ = wanting
    return -job.priority, -job.age, job.seq, job.job


class Line:
    """`turn_of` gives a job its turn, or None if it wants nothing any more."""

    def __init__(
        self,
        jobs: Mapping[str, Sequence[Wanting]],
        turn_of: Callable[[Wanting], Turn | None],
        shares: Shares,
        quotas: Quotas,
    ) -> None:
        self._jobs = jobs
        self._turn_of = turn_of
        self._shares = shares
        self._quotas = quotas
        self._next = dict.fromkeys(jobs, 0)  # of each owner, who comes after the one in `_heads`
        self._heads: dict[str, Turn] = {}
        self._heap = [(self._key(owner), owner) for owner in jobs if self._call(owner)]
        heapify(self._heap)

    def first(self) -> Turn | None:
        """Whose turn it is."""
        return self._heads[self._heap[0][1]] if self._heap else None

    def go_on(self) -> None:
        """The first has had its turn; what it was given or keeps is charged to its owner."""
        owner = self._heap[0][1]
        if self._heads[owner].again or self._call(owner):
            heapreplace(self._heap, (self._key(owner), owner))
        else:
            heappop(self._heap)

    def rest(self) -> Iterator[Wanting]:
        """Those that have had no turn, in no order between owners."""
        for owner in sorted(self._heads):
            head = self._heads[owner]
            if not head.again:
                yield head.job, head.wish
            yield from self._jobs[owner][self._next[owner] :]

    def _call(self, owner: str) -> bool:
        """Bring its next one to the front."""
        jobs = self._jobs[owner]
        for place in range(self._next[owner], len(jobs)):
            turn = self._turn_of(jobs[place])
            if turn is not None:
                self._heads[owner] = turn
                self._next[owner] = place + 1
                return True
        self._next[owner] = len(jobs)
        self._heads.pop(owner, None)
        return False

    def _key(self, owner: str) -> Key:
        turn = self._heads[owner]
        job = turn.job
        turn.borrows = turn.again or not self._guaranteed(turn)
        share = self._shares.of(owner)
        return -job.priority, turn.borrows, share, -job.age, job.seq, job.job

    def _guaranteed(self, turn: Turn) -> bool:
        owner = turn.job.owner
        if owner not in self._quotas.owners:
            return False
        count = turn.wish.count * turn.least
        return any(self._quotas.guaranteed(owner, kind) >= count for kind in turn.wish.fitting)
