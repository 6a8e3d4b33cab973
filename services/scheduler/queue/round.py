"""One round: each has its turn, and takes what it may have or keeps what it waits for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Final

from services.scheduler.queue.keeping import NOTHING, Keeping, Kept
from services.scheduler.queue.line import Line, Wanting
from services.scheduler.queue.machine import Machine
from services.scheduler.queue.quota import Quotas
from services.scheduler.queue.rack import Rack
from services.scheduler.queue.share import Shares
from services.scheduler.queue.turn import Stay, Turn
from services.scheduler.queue.wish import FAR, Wish, Wishes
from shared.ids import JobId

IN_VAIN: Final = 2 * FAR
"""After so many turns that brought nothing it is seen whether any could."""


class Round:
    """What it gives is added to `given` and to what owners hold; `stays` and `rest` are those that
    go on waiting and were given nothing."""

    def __init__(
        self,
        waiting: Mapping[str, Sequence[Wanting]],
        *,
        racks: Mapping[str, Rack],
        quotas: Quotas,
        wishes: Wishes,
        keeping: Keeping,
        held: Shares,
        given: dict[JobId, Turn],
    ) -> None:
        self.gave = False
        self.stays: dict[JobId, Stay] = {}
        self._racks = racks
        self._quotas = quotas
        self._wishes = wishes
        self._keeping = keeping
        self._held = held
        self._given = given
        self._shares = held.copy()
        self._line = Line(waiting, self._turn, self._shares, quotas)
        self._vain = 0

    def run(self) -> None:
        while (turn := self._line.first()) is not None:
            self._serve(turn)
            self._line.go_on()
            if self._vain >= IN_VAIN and self._is_over():
                break

    @property
    def rest(self) -> Iterator[Wanting]:
        """Those that nothing is left for, so far behind others that they had no turn."""
        return (each for each in self._line.rest() if each[0].job not in self._given)

    def _turn(self, wanting: Wanting) -> Turn | None:
        job, wish = wanting
        turn = self._given.get(job.job)
        if turn is None:
            return Turn(job, wish)
        if not turn.missing or not turn.wish.fitting:
            return None
        turn.begin()
        return turn

    def _serve(self, turn: Turn) -> None:
        self._vain += 1
        if turn.wish.over and turn.job.owner not in self._quotas.owners:
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
        if owner not in self._quotas.owners:
            return dict.fromkeys(kinds, missing)
        room = self._quotas.room if turn.borrows else self._quotas.guaranteed
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
            picks = _pick(self._racks[kind], wish, allowed[kind])
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
        job, wish, rack = turn.job, turn.wish, self._racks[kind]
        self._charge(turn, -1)
        turn.charged = None
        for machine, copies in picks:
            slots = rack.take(machine, copies * wish.count, wish.price, wish.lasts)
            turn.slots += tuple(slots)
            turn.copies += copies
            self._shares.charge(job.owner, kind, len(slots))
            self._held.charge(job.owner, kind, len(slots))
            self._quotas.hold(job.owner, kind, len(slots))
        turn.kind = kind
        if turn.missing:
            own = Counter(slot.node for slot in turn.slots)
            turn.wish = self._wishes.more(job, kind, own + Counter(wish.own))
        self._given[job.job] = turn
        self.stays.pop(job.job, None)
        self.gave, self._vain = True, 0

    def _wait(self, turn: Turn, kinds: Iterable[str]) -> None:
        """It keeps what it waits for."""
        kinds = [kind for kind in kinds if kind not in turn.kept]
        stay = self.stays.get(turn.job.job)
        if kinds and (stay is None or stay.starts_in == inf):
            kept = self._keeping.keep(turn, kinds)
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
            self._shares.charge(job.owner, *turn.charged)
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
        kept = self._keeping.relieve(turn)
        if kept is not None:
            self._stay(turn, kept)
        else:
            row = self._quotas.row(turn.job.owner, turn.wish.fitting[0])
            self.stays[turn.job.job] = Stay(turn.job, turn.wish, "quota", row=row)

    def _charge(self, turn: Turn, sign: int) -> None:
        if turn.charged is not None:
            kind, count = turn.charged
            self._quotas.charge(turn.job.owner, kind, sign * count)

    def _is_over(self) -> bool:
        """Whether nobody can have anything more in this round, and all are far behind others."""
        self._vain = 0
        for wish in self._wishes.all():
            if wish.fitting and wish.group.ahead <= FAR:
                return False
            for kind in wish.fitting:
                rack = self._racks[kind]
                if self._keeping.could_preempt and not rack.keeps(wish.count):
                    return False
                if kind not in wish.stuck and _pick(rack, wish, wish.least):
                    return False
        return True


def _pick(rack: Rack, wish: Wish, most: int) -> list[tuple[Machine, int]]:
    picks = []
    for machine, copies in rack.room(wish.count, wish.price, wish.lasts):
        picks.append((machine, min(copies, most)))
        most -= copies
        if most <= 0:
            break
    return picks
