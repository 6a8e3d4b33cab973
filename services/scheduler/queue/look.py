"""A look at the queue: each has its turn, and takes what it may have or keeps what it waits for.

What is given changes the order, since who was given something has a larger share. So there are
rounds, until one gives nothing: deciding anew on what was decided gives nothing either. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Final

from services.scheduler.queue.keeping import NOTHING, Keeping, Kept
from services.scheduler.queue.line import Line, Wanting, in_turn
from services.scheduler.queue.machine import Machine
from services.scheduler.queue.quota import Quotas
from services.scheduler.queue.rack import Rack, racks_of
from services.scheduler.queue.share import Shares
from services.scheduler.queue.turn import Stay, Turn
from services.scheduler.queue.values import Picture, Policy, Waiting, Yielding
from services.scheduler.queue.wish import FAR, Wish, Wishes
from shared.ids import JobId

IN_VAIN: Final = 2 * FAR
"""After so many turns that brought nothing it is seen whether any could."""

QUOTA: Final = "whose owner has a quota for these GPUs"


class Look:
    """`given` has those that start or grow; `settled`, `stays` and `rest` all that go on waiting and
    were given nothing."""

    def __init__(self, picture: Picture, policy: Policy) -> None:
        self.picture, self.policy = picture, policy
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
        self.stays: dict[JobId, Stay] = {}
        self._waiting = in_turn(self._compete())

    def run(self) -> None:
        while True:
            gave = self._round()
            if not gave or not self._could_give():
                break
            self._again()

    def yielding(self) -> Iterator[Yielding]:
        """Who is to be warned, and why."""
        for stay in self.stays.values():
            for job in stay.yielding:
                holder = self.picture.holders[job]
                higher = holder.priority < stay.job.priority
                yield Yielding(
                    job=job,
                    attempt=holder.attempt,
                    to=stay.job.job,
                    reason=f"gives way to a job {'of a higher class' if higher else QUOTA}",
                )

    def _compete(self) -> Iterator[Wanting]:
        """Those who compete for GPUs. The others start now, or nothing here can let them."""
        spent = {owner.owner for owner in self.picture.owners.values() if owner.spent}
        for job in self.picture.waiting:
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
                    holder = self.picture.holders.get(job.job)
                    wish.own_ends = holder is not None and holder.back_in < inf
                yield job, wish

    def _let(self, job: Waiting, wish: Wish, copies: int) -> None:
        turn = self.given[job.job] = Turn(job, wish)
        turn.copies = copies

    def _round(self) -> bool:
        """Whether it gave something."""
        self.shares = self._held.copy()
        self.stays = {}
        self._gave, self._vain = False, 0
        line = Line(self._waiting, self._turn, self.shares, self.quotas)
        while (turn := line.first()) is not None:
            self._serve(turn)
            line.go_on()
            if self._vain >= IN_VAIN and self._is_over():
                break
        self._line = line
        return self._gave

    @property
    def rest(self) -> Iterator[Wanting]:
        """Those that nothing is left for, so far behind others that they had no turn."""
        return (each for each in self._line.rest() if each[0].job not in self.given)

    def _turn(self, wanting: Wanting) -> Turn | None:
        job, wish = wanting
        turn = self.given.get(job.job)
        if turn is None:
            return Turn(job, wish)
        if not turn.missing or not turn.wish.fitting:
            return None
        turn.begin()
        return turn

    def _serve(self, turn: Turn) -> None:
        self._vain += 1
        if turn.wish.over and turn.job.owner not in self.quotas.owners:
            self._stay(turn, NOTHING)
            return
        allowed = self._allowed(turn)
        if not allowed:
            self._lack_quota(turn)
        elif not self._place(turn, allowed):
            self._wait(turn, allowed)
        elif turn.missing and not turn.again and self._allowed(turn) and not turn.again:
            self._wait(turn, (turn.kind,))

    def _allowed(self, turn: Turn) -> dict[str, int]:
        """The types that it may have by its owner's quota, and how many copies of each."""
        owner, count, missing = turn.job.owner, turn.wish.count, turn.missing
        kinds = turn.wish.fitting
        if owner not in self.quotas.owners:
            return dict.fromkeys(kinds, missing)
        room = self.quotas.room if turn.borrows else self.quotas.guaranteed
        self._charge(turn, -1)  # what it waits for is its own to take
        copies = {kind: int(min(room(owner, kind), missing * count)) // count for kind in kinds}
        self._charge(turn, 1)
        allowed = {kind: number for kind, number in copies.items() if number >= turn.least}
        # what it would borrow has its turn later
        turn.again = not turn.borrows and (
            len(allowed) < len(kinds) or any(number < missing for number in allowed.values())
        )
        return allowed

    def _place(self, turn: Turn, allowed: Mapping[str, int]) -> bool:
        wish = turn.wish
        kinds = [kind for kind in allowed if kind not in wish.stuck]
        best: tuple[str, list[tuple[Machine, int]]] | None = None
        for kind in kinds:
            picks = _pick(self.racks[kind], wish, allowed[kind])
            copies = sum(number for _, number in picks)
            if copies >= turn.missing:
                best = kind, picks
                break
            if best is None and copies >= turn.least:
                best = kind, picks
        if best is None:
            wish.stuck.update(kinds)
            return False
        self._take(turn, *best)
        return True

    def _take(self, turn: Turn, kind: str, picks: Iterable[tuple[Machine, int]]) -> None:
        job, wish, rack = turn.job, turn.wish, self.racks[kind]
        self._charge(turn, -1)
        turn.charged = None
        for machine, copies in picks:
            slots = rack.take(machine, copies * wish.count, wish.price, wish.lasts)
            turn.slots += tuple(slots)
            turn.copies += copies
            self.shares.charge(job.owner, kind, len(slots))
            self._held.charge(job.owner, kind, len(slots))
            self.quotas.hold(job.owner, kind, len(slots))
        turn.kind = kind
        if turn.missing:
            own = Counter(slot.node for slot in turn.slots)
            turn.wish = self.wishes.more(job, kind, own + Counter(wish.own))
        self.given[job.job] = turn
        self.stays.pop(job.job, None)
        self._gave, self._vain = True, 0

    def _wait(self, turn: Turn, kinds: Iterable[str]) -> None:
        """It keeps what it waits for."""
        kinds = [kind for kind in kinds if kind not in turn.kept]
        stay = self.stays.get(turn.job.job)
        if kinds and (stay is None or stay.starts_in == inf):
            kept = self.keeping.keep(turn, kinds)
            turn.kept += tuple(kinds)
            self._stay(turn, kept)

    def _stay(self, turn: Turn, kept: Kept) -> None:
        """It goes on waiting, and counts as if it had what it keeps."""
        job, wish = turn.job, turn.wish
        if kept.starts_in < inf:
            self._vain = 0
        if turn.charged is None:
            turn.charged = (turn.kept or wish.fitting)[0], wish.count * turn.least
            self._charge(turn, 1)
            self.shares.charge(job.owner, *turn.charged)
            if not turn.copies:
                stay = Stay(job, wish, ahead=wish.group.ahead, first=wish.group.first)
                self.stays[job.job] = stay
            wish.group.join(job.job)
        if job.job in self.stays:
            stay = self.stays[job.job]
            stay.starts_in = min(stay.starts_in, kept.starts_in)
            stay.yielding += kept.yielding

    def _lack_quota(self, turn: Turn) -> None:
        if turn.copies or turn.kept:
            return
        kept = self.keeping.relieve(turn)
        if kept is not None:
            self._stay(turn, kept)
        else:
            row = self.quotas.row(turn.job.owner, turn.wish.fitting[0])
            self.stays[turn.job.job] = Stay(turn.job, turn.wish, "quota", row=row)

    def _charge(self, turn: Turn, sign: int) -> None:
        if turn.charged is not None:
            kind, count = turn.charged
            self.quotas.charge(turn.job.owner, kind, sign * count)

    def _is_over(self) -> bool:
        """Whether nobody can have anything more in this round, and all are far behind others."""
        self._vain = 0
        for wish in self.wishes.all():
            if wish.fitting and wish.group.ahead <= FAR:
                return False
            for kind in wish.fitting:
                if kind not in wish.stuck and _pick(self.racks[kind], wish, wish.least):
                    return False
        return True

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
        for slot in self.picture.slots:
            holder = self.picture.holders.get(slot.job) if slot.job is not None else None
            if holder is not None:
                held[holder.owner, slot.type] += 1
        for (owner, kind), count in held.items():
            self._held.charge(owner, kind, count)
            self.quotas.hold(owner, kind, count)


def _pick(rack: Rack, wish: Wish, most: int) -> list[tuple[Machine, int]]:
    picks = []
    for machine, copies in rack.room(wish.count, wish.price, wish.lasts):
        picks.append((machine, min(copies, most)))
        most -= copies
        if most <= 0:
            break
    return picks


def _own(picture: Picture) -> dict[JobId, Counter[str]]:
    """What those who would grow hold already, by machine."""
    growing = {job.job for job in picture.waiting if job.granted}
    own: dict[JobId, Counter[str]] = {}
    for slot in picture.slots:
        if slot.job is not None and slot.job in growing:
            own.setdefault(slot.job, Counter())[slot.node] += 1
    return own
