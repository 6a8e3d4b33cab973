"""Who gives way to one who can't start. Pure.

A job may make preemptible ones of a lower class give way, of whomever; and within its owner's quota
those of its class or a lower one whose owners have more than theirs, of the same cohort. One of a
higher class is left alone, since it would come first again.

Nobody gives way to one whom it could then make give way: who would borrow takes nothing from an
owner of its cohort that has no more than is its own. Each that gives way to a quota, or to one who
borrows, will have to borrow when it queues again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from services.scheduler.queue.machine import Machine
from services.scheduler.queue.quota import Quotas, Row
from services.scheduler.queue.rack import Rack
from services.scheduler.queue.turn import Turn
from services.scheduler.queue.values import Holder, Picture, Policy
from shared.ids import JobId

TRIES: Final = 50  # in a look: the next one goes on


class Victim:
    __slots__ = ("gpus", "holder", "kind", "row", "where")

    def __init__(self, holder: Holder, kind: str, row: Row | None) -> None:
        self.holder = holder
        self.kind = kind
        self.row = row  # what its GPUs count against
        self.where: dict[str, int] = defaultdict(int)  # its GPUs by machine
        self.gpus = 0


class Plan(NamedTuple):
    victims: tuple[Victim, ...]
    rack: Rack

    @property
    def cost(self) -> tuple[int, int, float]:
        """Fewest, of the lowest class, the youngest."""
        holders = [victim.holder for victim in self.victims]
        return len(holders), sum(h.priority for h in holders), sum(h.age for h in holders)


class Preemption:
    def __init__(self, picture: Picture, policy: Policy, quotas: Quotas) -> None:
        self._notice = policy.notice
        self._quotas = quotas
        self.victims: dict[str, dict[JobId, Victim]] = {}  # by type: who may have to give way
        self.warned: dict[str, dict[JobId, Victim]] = {}  # ... and who has been told to
        self._leaving: list[tuple[Row, int]] = []  # by what is planned
        for slot in picture.slots:
            holder = picture.holders.get(slot.job) if slot.job is not None else None
            if holder is None:
                continue
            row = quotas.row(holder.owner, slot.type)
            if row is not None and (holder.ending or holder.gives_way_in is not None):
                row.leaving += 1
            if not holder.preemptible or holder.ending:
                continue
            if holder.gives_way_in is None and holder.back_in <= policy.notice:
                continue  # it ends by itself before that
            if holder.gives_way_in is not None:
                of = self.warned
            elif holder.age >= policy.kept:
                of = self.victims
            else:
                continue
            victims = of.setdefault(slot.type, {})
            victim = victims.get(holder.job)
            if victim is None:
                victim = victims[holder.job] = Victim(holder, slot.type, row)
            victim.where[slot.node] += 1
            victim.gpus += 1
        self.again()

    def again(self) -> None:
        for row, gpus in self._leaving:
            row.leaving -= gpus
        self._leaving.clear()
        self._tries = TRIES
        self._taken: set[JobId] = set()
        self._failed: set[object] = set()

    def plan(
        self, turn: Turn, kinds: Iterable[str], racks: Mapping[str, Rack], *, own: int = 0
    ) -> Plan | None:
        """By whom giving way it could start after the notice; None if that does not suffice.

        With `own` its owner has to give back so many GPUs itself.
        """
        if not self.victims or self._tries <= 0:
            return None
        owner = turn.job.owner if turn.job.owner in self._quotas.owners else None
        kinds = tuple(kind for kind in kinds if kind in self.victims)
        key = turn.wish, turn.job.priority, owner, turn.borrows, kinds, own
        if key in self._failed:
            return None
        plans = [plan for kind in kinds for plan in self._plans(turn, racks[kind], own)]
        if not plans:
            self._failed.add(key)
            return None
        self._tries -= 1
        best = min(plans, key=lambda plan: plan.cost)
        for victim in best.victims:
            self._taken.add(victim.holder.job)
            if victim.row is not None:
                victim.row.leaving += victim.gpus
                self._leaving.append((victim.row, victim.gpus))
        return best

    def may_take(self, turn: Turn, victim: Victim) -> bool:
        """Whether it may make this one give way, alone."""
        return self._by_class(turn, victim) or self._by_quota(turn, victim)

    def _plans(self, turn: Turn, rack: Rack, own: int) -> Iterable[Plan]:
        wish = turn.wish
        row = self._quotas.row(turn.job.owner, rack.kind)
        eligible = [
            victim
            for job, victim in self.victims[rack.kind].items()
            if job not in self._taken
            and self.may_take(turn, victim)
            and (not own or victim.row is row)
        ]
        if not eligible:
            return
        self._tries -= 1
        if wish.least > 1 or own:
            there = [m for m in rack.machines.values() if rack.is_open(m)]
            rooms = {machine.node: machine.later(self._notice, wish.lasts) for machine in there}

            def together(chosen: Sequence[Victim]) -> bool:
                copies = (
                    (room + sum(v.where.get(node, 0) for v in chosen)) // wish.count
                    for node, room in rooms.items()
                )
                freed = sum(victim.gpus for victim in chosen)
                return freed >= own and sum(copies) >= wish.least

            chosen = self._choose(turn, eligible, lambda v, _: v.gpus, together)
            if chosen:
                yield Plan(chosen, rack)
            return
        on: dict[str, list[Victim]] = defaultdict(list)
        for victim in eligible:
            for node in victim.where:
                on[node].append(victim)
        for node, victims in sorted(on.items()):
            machine = rack.machines[node]
            if machine.total >= wish.count and rack.is_open(machine):
                chosen = self._alone(turn, machine, victims)
                if chosen:
                    yield Plan(chosen, rack)

    def _alone(self, turn: Turn, machine: Machine, victims: Sequence[Victim]) -> tuple[Victim, ...]:
        """Who of one machine."""
        node = machine.node
        need = turn.wish.count - machine.later(self._notice, turn.wish.lasts)
        if sum(victim.where[node] for victim in victims) < need:
            return ()

        def freed(chosen: Sequence[Victim]) -> int:
            return sum(victim.where[node] for victim in chosen)

        return self._choose(
            turn,
            victims,
            lambda victim, chosen: min(victim.where[node], need - freed(chosen)),
            lambda chosen: freed(chosen) >= need,
        )

    def _choose(
        self,
        turn: Turn,
        victims: Sequence[Victim],
        gain: Callable[[Victim, Sequence[Victim]], int],
        suffices: Callable[[Sequence[Victim]], bool],
    ) -> tuple[Victim, ...]:
        """The fewest: those that free most, and none that could be left out. None if not all of
        them suffice."""
        left = sorted(victims, key=_worth)
        chosen: list[Victim] = []
        while not suffices(chosen):
            left = [victim for victim in left if self._keeps_peace(turn, [*chosen, victim])]
            if not left:
                return ()
            best = max(left, key=lambda victim: gain(victim, chosen))  # of equals the first
            chosen.append(best)
            left.remove(best)
        for victim in sorted(chosen, key=_worth, reverse=True):
            without = [other for other in chosen if other is not victim]
            if suffices(without):
                chosen = without
        return tuple(chosen)

    def _keeps_peace(self, turn: Turn, chosen: Sequence[Victim]) -> bool:
        """Whether those that must not come back as of right would have to borrow."""
        bound = [victim for victim in chosen if self._has_to_borrow(turn, victim)]
        for victim in bound:
            row = victim.row
            assert row is not None
            gone = sum(other.gpus for other in chosen if other.row is row)
            if row.held - row.leaving - gone + victim.gpus <= row.nominal:
                return False
        return True

    def _has_to_borrow(self, turn: Turn, victim: Victim) -> bool:
        if not self._by_class(turn, victim):
            return True
        row = self._quotas.row(turn.job.owner, victim.kind)
        if row is None or victim.row is None or row is victim.row:
            return False
        return turn.borrows and row.pool is victim.row.pool

    def _by_class(self, turn: Turn, victim: Victim) -> bool:
        return victim.holder.priority < turn.job.priority

    def _by_quota(self, turn: Turn, victim: Victim) -> bool:
        if turn.borrows or victim.row is None or victim.holder.priority > turn.job.priority:
            return False
        row = self._quotas.row(turn.job.owner, victim.kind)
        return row is not None and row is not victim.row and row.pool is victim.row.pool


def _worth(victim: Victim) -> tuple[int, float, JobId]:
    """Those that are to give way first come first."""
    return victim.holder.priority, victim.holder.age, victim.holder.job
