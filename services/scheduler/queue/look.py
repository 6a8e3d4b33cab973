"""One look at the queue: each has its turn, and takes what it may have or keeps what it waits for.
Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import inf
from typing import Final

from services.scheduler.queue.line import Line, Turn
from services.scheduler.queue.machine import Machine
from services.scheduler.queue.quota import Quotas
from services.scheduler.queue.rack import Rack, racks_of
from services.scheduler.queue.reserve import earliest, reserve
from services.scheduler.queue.share import Shares
from services.scheduler.queue.stay import Stay
from services.scheduler.queue.values import Holder, Picture, Policy
from services.scheduler.queue.wish import FAR, Wish, Wishes
from shared.ids import JobId

IN_VAIN: Final = 2 * FAR
"""After so many turns that brought nothing it is seen whether any could."""


class Look:
    def __init__(self, picture: Picture, policy: Policy) -> None:
        self.picture, self.policy = picture, policy
        ends = {job: end for job, each in picture.holders.items() if (end := ending(each)) < inf}
        self._ends = ends
        self.racks = racks_of(picture.slots, ends)
        self.quotas = Quotas(picture.quotas)
        self.shares = Shares({k: r.total for k, r in self.racks.items()}, picture.owners)
        self._charge_holders()
        self.wishes = Wishes(self.racks, _own(picture))
        for kind in self.racks:
            self.wishes.group((kind,))
        self.placed: list[Turn] = []
        self.stays: dict[JobId, Stay] = {}
        self._vain = 0

    def run(self) -> None:
        turns = []
        for job in sorted(self.picture.waiting, key=lambda job: (-job.age, job.seq, job.job)):
            turn = Turn(job, self.wishes.of(job))
            if job.granted:
                turn.wish.own_ends = job.job in self._ends
            if not self._settled(turn):
                turns.append(turn)
        line = Line(turns, self.shares, self.quotas)
        for turn in line:
            self._serve(turn)
            if self._vain >= IN_VAIN and self._over():
                break
        for turn in line.rest():
            self._pass_over(turn)

    def _settled(self, turn: Turn) -> bool:
        """Those who compete with nobody: they start now, or nothing here can let them."""
        job = turn.job
        owner = self.picture.owners.get(job.owner)
        if owner is not None and owner.spent:
            self.stays[job.job] = Stay(turn, "budget")
        elif job.count == 0:
            turn.copies = job.missing
            self.placed.append(turn)
        elif job.held > job.granted > 0:  # it still holds what it gave up a moment ago
            turn.copies = min(job.missing, job.held - job.granted)
            self.placed.append(turn)
        elif not turn.wish.fitting:
            self.stays[job.job] = Stay(turn, "never")
        else:
            return False
        return True

    def _serve(self, turn: Turn) -> None:
        self._vain += 1
        allowed = self._allowed(turn)
        if not allowed:
            if not turn.copies:
                row = self.quotas.row(turn.job.owner, turn.wish.fitting[0])
                self.stays.setdefault(turn.job.job, Stay(turn, "quota", row=row))
        elif not self._place(turn, allowed):
            self._wait(turn, allowed)
        elif turn.missing and not turn.again:
            self._want_more(turn)

    def _allowed(self, turn: Turn) -> dict[str, int]:
        """The types that it may have by its owner's quota, and how many copies of each."""
        owner, wish = turn.job.owner, turn.wish
        kinds = (turn.kind,) if turn.kind else wish.fitting
        if owner not in self.quotas.owners:
            return dict.fromkeys(kinds, turn.missing)
        room = self.quotas.room if turn.borrows else self.quotas.guaranteed
        self._uncharge(turn)  # what it waits for is its own to take
        copies = {kind: int(min(room(owner, kind) // wish.count, turn.missing)) for kind in kinds}
        self._uncharge(turn, -1)
        least = 1 if turn.copies else wish.least
        allowed = {kind: number for kind, number in copies.items() if number >= least}
        # what it would borrow has its turn later
        turn.again = not turn.borrows and (
            len(allowed) < len(kinds) or any(n < turn.missing for n in allowed.values())
        )
        return allowed

    def _place(self, turn: Turn, allowed: Mapping[str, int]) -> bool:
        wish = turn.wish
        kinds = [kind for kind in allowed if kind not in wish.stuck]
        best: tuple[str, list[tuple[Machine, int]]] | None = None
        for kind in kinds:
            picks = self._pick(self.racks[kind], wish, allowed[kind])
            copies = sum(number for _, number in picks)
            if copies >= turn.missing:
                best = kind, picks
                break
            if best is None and copies >= (1 if turn.copies else wish.least):
                best = kind, picks
        if best is None:
            wish.stuck.update(kinds)
            return False
        self._take(turn, *best)
        return True

    def _pick(self, rack: Rack, wish: Wish, most: int) -> list[tuple[Machine, int]]:
        picks = []
        for machine, copies in rack.room(wish.count, wish.price, wish.lasts):
            picks.append((machine, min(copies, most)))
            most -= copies
            if most <= 0:
                break
        return picks

    def _take(self, turn: Turn, kind: str, picks: Iterable[tuple[Machine, int]]) -> None:
        wish, rack = turn.wish, self.racks[kind]
        before = len(turn.slots)
        if not turn.copies:
            self.placed.append(turn)
        for machine, copies in picks:
            turn.slots += rack.take(machine, copies * wish.count, wish.price, wish.lasts)
            turn.copies += copies
        turn.kind = kind
        self.stays.pop(turn.job.job, None)
        self._uncharge(turn)
        turn.charged = None
        self.shares.charge(turn.job.owner, kind, len(turn.slots) - before)
        self.quotas.hold(turn.job.owner, kind, len(turn.slots) - before)
        self._vain = 0

    def _wait(self, turn: Turn, kinds: Mapping[str, int]) -> None:
        """It keeps what it waits for."""
        job, wish = turn.job, turn.wish
        stay = self.stays.get(job.job)
        if stay is not None:  # it has had a turn, for what is its owner's own
            kinds = {kind: n for kind, n in kinds.items() if kind not in turn.kept}
        starts_in = self._keep(wish, kinds) if kinds else inf
        turn.kept = tuple(kinds)
        if starts_in < inf:
            self._vain = 0
        if stay is not None:
            stay.starts_in = min(stay.starts_in, starts_in)
            return
        group = wish.group
        self.stays[job.job] = Stay(turn, ahead=group.ahead, first=group.first, starts_in=starts_in)
        group.join(job.job)
        turn.charged = next(iter(kinds)), wish.count * wish.least
        self.shares.charge(job.owner, *turn.charged)
        self.quotas.charge(job.owner, *turn.charged)

    def _keep(self, wish: Wish, kinds: Iterable[str]) -> float:
        """From all who come after it: its reserved start, or its types."""
        if not wish.own and all(self.racks[kind].keeps(wish.count) for kind in kinds):
            return inf
        start = earliest(self.racks, kinds, wish)
        if start is not None:
            reserve(start, wish)
            return start.time
        for kind in kinds:
            rack = self.racks[kind]
            if wish.own:
                nodes = rack.machines.items()
                rack.keep_these(n for n, m in nodes if m.total - wish.own.get(n, 0) >= wish.count)
            else:
                rack.keep(wish.count)
        return inf

    def _want_more(self, turn: Turn) -> None:
        """It has room for some copies, and keeps its type for the others."""
        own = Counter(turn.wish.own)
        own.update(slot.node for slot in turn.slots)
        rest = Wish(turn.job, own)
        rest.least, rest.own_ends = 1, rest.lasts < inf
        if not rest.could(self.racks, turn.kind):
            return
        self._keep(rest, (turn.kind,))
        self.wishes.group((turn.kind,)).join(turn.job.job)
        self.shares.charge(turn.job.owner, turn.kind, rest.count)
        self.quotas.charge(turn.job.owner, turn.kind, rest.count)

    def _pass_over(self, turn: Turn) -> None:
        """Nothing is left for it, whatever its place."""
        group = turn.wish.group
        self.stays.setdefault(
            turn.job.job, Stay(turn, ahead=max(group.ahead, FAR + 1), first=group.first)
        )

    def _over(self) -> bool:
        """Whether nobody can have anything more, and all are far behind others."""
        for wish in self.wishes.all():
            if not wish.fitting:
                continue
            if wish.group.ahead <= FAR:
                self._vain = 0
                return False
            for kind in wish.fitting:
                if kind not in wish.stuck and self._pick(self.racks[kind], wish, wish.least):
                    self._vain = 0
                    return False
        return True

    def _uncharge(self, turn: Turn, sign: int = 1) -> None:
        if turn.charged is not None:
            kind, count = turn.charged
            self.quotas.charge(turn.job.owner, kind, -sign * count)

    def _charge_holders(self) -> None:
        held: Counter[tuple[str, str]] = Counter()
        for slot in self.picture.slots:
            holder = self.picture.holders.get(slot.job) if slot.job is not None else None
            if holder is not None:
                held[holder.owner, slot.type] += 1
        for (owner, kind), count in held.items():
            self.shares.charge(owner, kind, count)
            self.quotas.hold(owner, kind, count)


def ending(holder: Holder) -> float:
    """When its GPUs come back; `inf` where nobody knows."""
    if holder.ending:
        return 0.0
    known = [end for end in (holder.ends_in, holder.gives_way_in) if end is not None]
    return max(0.0, min(known)) if known else inf


def _own(picture: Picture) -> dict[JobId, Counter[str]]:
    """What those who would grow hold already, by machine."""
    growing = {job.job for job in picture.waiting if job.granted}
    own: dict[JobId, Counter[str]] = {}
    for slot in picture.slots:
        if slot.job is not None and slot.job in growing:
            own.setdefault(slot.job, Counter())[slot.node] += 1
    return own
