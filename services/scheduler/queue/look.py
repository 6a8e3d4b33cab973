"""A look at the queue, in rounds. Pure.

What is given changes the order, since who was given something has a larger share. So there are
rounds, until one gives nothing: deciding anew on what was decided gives nothing either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import Final

from services.scheduler.queue.keeping import Keeping
from services.scheduler.queue.line import Wanting, in_turn
from services.scheduler.queue.quota import Quotas
from services.scheduler.queue.rack import racks_of
from services.scheduler.queue.round import Round
from services.scheduler.queue.share import Shares
from services.scheduler.queue.turn import Stay, Turn
from services.scheduler.queue.values import Picture, Policy, Waiting, Yielding
from services.scheduler.queue.wish import Wish, Wishes
from shared.ids import JobId

QUOTA: Final = "whose owner has a quota for these GPUs"


class Look:
    """`given` has those that start or grow, `settled` those that nothing here lets start, and the
    `last` round all others that go on waiting."""

    def __init__(self, picture: Picture, policy: Policy) -> None:
        self._picture = picture
        self.racks = racks_of(picture.slots, picture.holders)
        self.quotas = Quotas(picture.quotas)
        self._held = Shares({k: r.total for k, r in self.racks.items()}, picture.owners)
        self._charge_holders()
        self.keeping = Keeping(picture, policy, self.racks, self.quotas)
        self.wishes = Wishes(self.racks, _own(picture))
        for kind in self.racks:
            self.wishes.group((kind,))
        self.given: dict[JobId, Turn] = {}
        self.settled: list[Stay] = []
        self._waiting = in_turn(self._compete())
        self.last = self._round()
        while self.last.gave and self._could_give():
            self._again()
            self.last = self._round()

    def _round(self) -> Round:
        this = Round(
            self._waiting,
            racks=self.racks,
            quotas=self.quotas,
            wishes=self.wishes,
            keeping=self.keeping,
            held=self._held,
            given=self.given,
        )
        this.run()
        return this

    def yielding(self) -> Iterator[Yielding]:
        """Who is to be warned, and why."""
        for stay in self.last.stays.values():
            for job in stay.yielding:
                holder = self._picture.holders[job]
                higher = holder.priority < stay.job.priority
                yield Yielding(
                    job=job,
                    attempt=holder.attempt,
                    to=stay.job.job,
                    reason=f"gives way to a job {'of a higher class' if higher else QUOTA}",
                )

    def _compete(self) -> Iterator[Wanting]:
        """Those who compete for GPUs. The others start now, or nothing here can let them."""
        spent = {owner.owner for owner in self._picture.owners.values() if owner.spent}
        for job in self._picture.waiting:
            wish = self.wishes.of(job)
            if job.owner in spent:
                self.settled.append(Stay(job, wish, "budget"))
            elif job.count == 0:
                self._let(job, wish, job.missing)
            elif job.held > job.granted > 0:  # it still holds what it gave up a moment ago
                self._let(job, wish, min(job.missing, job.held - job.granted))
            elif not wish.fitting:
                self.settled.append(Stay(job, wish, "never"))
            else:
                if job.granted:
                    holder = self._picture.holders.get(job.job)
                    wish.own_ends = holder is not None and holder.back_in < inf
                yield job, wish

    def _let(self, job: Waiting, wish: Wish, copies: int) -> None:
        turn = self.given[job.job] = Turn(job, wish)
        turn.copies = copies

    def _could_give(self) -> bool:
        """Whether another order could give somebody something, or make others give way."""
        if self.keeping.could_preempt:
            return True
        free = {kind: rack.most_free for kind, rack in self.racks.items()}
        return any(free[kind] >= wish.count for wish in self.wishes.all() for kind in wish.fitting)

    def _again(self) -> None:
        self.quotas.again()
        self.keeping.again()
        self.wishes.again()
        for rack in self.racks.values():
            rack.again()

    def _charge_holders(self) -> None:
        held: Counter[tuple[str, str]] = Counter()
        for slot in self._picture.slots:
            holder = self._picture.holders.get(slot.job) if slot.job is not None else None
            if holder is not None:
                held[holder.owner, slot.type] += 1
        for (owner, kind), count in held.items():
            self._held.charge(owner, kind, count)
            self.quotas.hold(owner, kind, count)


def _own(picture: Picture) -> dict[JobId, Counter[str]]:
    """What those who would grow hold already, by machine."""
    growing = {job.job for job in picture.waiting if job.granted}
    own: dict[JobId, Counter[str]] = {}
    for slot in picture.slots:
        if slot.job is not None and slot.job in growing:
            own.setdefault(slot.job, Counter())[slot.node] += 1
    return own
