"""What those who can't start now keep from all who come after them: the place of their reserved
start, or all that they wait for. And who is to give way to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final, NamedTuple

from services.scheduler.queue.preempt import Plan, Preemption
from services.scheduler.queue.quota import Quotas
from services.scheduler.queue.rack import Rack
from services.scheduler.queue.reserve import Start, can_promise, earliest, reserve, undisturbed
from services.scheduler.queue.turn import Turn
from services.scheduler.queue.values import Picture, Policy
from shared.ids import JobId


class Kept(NamedTuple):
    starts_in: float = inf  # at the latest
    yielding: tuple[JobId, ...] = ()  # who has to be warned for it


NOTHING: Final = Kept()


class Keeping:
    def __init__(
        self, picture: Picture, policy: Policy, racks: Mapping[str, Rack], quotas: Quotas
    ) -> None:
        self._notice, self._slack = policy.notice, policy.slack
        self._racks = racks
        self._quotas = quotas
        self._preemption = Preemption(picture, policy, quotas)
        self._plans: list[Plan] = []
        self.needed: set[JobId] = set()  # those warned before that somebody still waits for

    @property
    def could_preempt(self) -> bool:
        return bool(self._preemption.victims)

    @property
    def let_off(self) -> list[JobId]:
        """Those warned that nobody waits for any more."""
        warned = {job for victims in self._preemption.warned.values() for job in victims}
        return sorted(warned - self.needed)

    def again(self) -> None:
        """Nobody keeps anything, and nobody gives way."""
        for plan in self._plans:
            for victim in plan.victims:
                for node, count in victim.where.items():
                    machine = plan.rack.machines[node]
                    machine.expect(count, victim.holder.back_in, self._notice)
        self._plans.clear()
        self.needed.clear()
        self._preemption.again()

    def keep(self, turn: Turn, kinds: Sequence[str]) -> Kept:
        wish = turn.wish
        if not wish.own and all(self._racks[kind].keeps(wish.count) for kind in kinds):
            wish.over = len(kinds) == len(wish.fitting)
            return NOTHING
        start = earliest(self._racks, kinds, wish)
        plan = None
        if (start is None or start.time > self._notice) and _may_preempt(turn):
            certain = [kind for kind in kinds if can_promise(self._racks[kind], wish)]
            plan = self._preemption.plan(turn, certain, self._racks)
            if plan is not None:
                self._warn(plan)
                start = earliest(self._racks, (plan.rack.kind,), wish)
        if start is None:
            self._keep_all(turn, kinds)
            return NOTHING
        return self._reserve(turn, start, plan)

    def relieve(self, turn: Turn) -> Kept | None:
        """Its owner has as much as it may have: whether jobs of its own make room for it soon."""
        wish, owner = turn.wish, turn.job.owner
        if not _may_preempt(turn):
            return None
        for kind in wish.fitting:
            row = self._quotas.row(owner, kind)
            if row is None or not can_promise(self._racks[kind], wish):
                continue
            short = int(row.short(wish.count * wish.least)) - row.leaving
            plan = None
            if short > 0:
                plan = self._preemption.plan(turn, (kind,), self._racks, own=short)
                if plan is None:
                    continue
                self._warn(plan)
            start = earliest(self._racks, (kind,), wish)
            if start is not None and start.time <= self._notice:
                for victims in self._preemption.warned.values():
                    self.needed.update(j for j, victim in victims.items() if victim.row is row)
                return self._reserve(turn, start, plan)
        return None

    def _reserve(self, turn: Turn, start: Start, plan: Plan | None) -> Kept:
        until = start.time
        if self._slack and turn.wish.least == 1:
            before = undisturbed(self._racks, turn.wish, turn.job.age)
            if before > 0:  # else it has been put off already, and nobody knows by how much
                until = max(until, before + self._slack)
        reserve(start, turn.wish, until)
        nodes = {machine.node for machine, _ in start.where}
        for victim in self._preemption.warned.get(start.rack.kind, {}).values():
            due = victim.holder.gives_way_in
            if (
                due is not None
                and due <= start.time
                and not nodes.isdisjoint(victim.where)
                and self._preemption.may_take(turn, victim)
            ):
                self.needed.add(victim.holder.job)
        yielding = tuple(victim.holder.job for victim in plan.victims) if plan else ()
        return Kept(start.time, yielding)

    def _keep_all(self, turn: Turn, kinds: Sequence[str]) -> None:
        wish = turn.wish
        for kind in kinds:
            if wish.own:
                machines = self._racks[kind].machines.items()
                could = (n for n, m in machines if m.total - wish.own.get(n, 0) >= wish.count)
                self._racks[kind].keep_these(could)
            else:
                self._racks[kind].keep(wish.count)

    def _warn(self, plan: Plan) -> None:
        """Their GPUs come back after the notice."""
        self._plans.append(plan)
        for victim in plan.victims:
            for node, count in victim.where.items():
                machine = plan.rack.machines[node]
                machine.expect(count, self._notice, victim.holder.back_in)


def _may_preempt(turn: Turn) -> bool:
    """Others give way to one who starts, not to one who would have more copies."""
    return not turn.copies and not turn.job.granted
