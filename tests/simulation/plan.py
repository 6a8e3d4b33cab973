"""What happens in a simulation, from its seed alone: who asks for what, and what goes wrong when."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from services.scheduler.driver import Gpu
from shared.ids import JobId
from tests.simulation.process import Faults

CHAOS: Final = 40.0  # seconds in which things are asked for and go wrong
OWNERS: Final = ("ada", "bob", "eve")
TYPES: Final = ("t4", "a100")
NODES: Final = ("n0", "n1")


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something at a moment."""

    at: float


class Submit(Act, frozen=True, kw_only=True):
    job: JobId
    owner: str
    gpus: int = 0
    types: tuple[str, ...] = ()
    copies: int = 1
    gang: bool = False
    priority: int = 0
    preemptible: bool = False
    max_price: float | None = None
    run_at_most: float | None = None
    start_by: float | None = None  # seconds from now


class Order(Act, frozen=True, kw_only=True):
    """An owner's word about a job: `stop`, `restart`, `terminate`, or a number of copies."""

    job: JobId
    what: str


class Kill(Act, frozen=True, kw_only=True):
    """kill -9 of the one that acts, or of the one that stands by; it is started again later."""

    acting: bool
    back_after: float


class Pause(Act, frozen=True, kw_only=True):
    """The one that acts stands still. PostgreSQL gives its lock away before that is over, or not."""

    seconds: float
    deposed: bool


class Vanish(Act, frozen=True, kw_only=True):
    """Processes are gone: of one replica, or of all, as after a reboot."""

    number: int  # which, of those that run; -1: all
    trace: bool


class GpuGone(Act, frozen=True, kw_only=True):
    number: int
    seconds: float


class Jump(Act, frozen=True, kw_only=True):
    """The wall clock jumps."""

    seconds: float


class Backup(Act, frozen=True, kw_only=True):
    """Somebody saves the tables ..."""


class Restore(Act, frozen=True, kw_only=True):
    """... ends all schedulers, and puts the saved tables in the place of the present ones."""

    back_after: float
    forgotten: bool  # the machines don't remember any more what they have ended


class Tell(Act, frozen=True, kw_only=True):
    """News: late, twice, or of nothing at all."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    gpus: tuple[Gpu, ...]
    prices: dict[str, float]
    quotas: tuple[
        tuple[str, str, int, int | None, str], ...
    ]  # owner, type, nominal, borrow, cohort
    faults: Faults
    acts: tuple[Act, ...]


def plan(seed: int) -> Plan:
    """Each seed has some kinds of trouble and not others: what always comes together hides much."""
    chance = random.Random(seed)
    gpus = _gpus(chance)
    restore = _restore(random.Random(f"restore {seed}"))
    jobs = [_submit(chance, number) for number in range(chance.randint(3, 7))]
    orders = [order for job in jobs for order in _orders(chance, job)]
    if restore:
        jobs, orders = _one_copy(jobs, orders)
    acts: list[Act] = [*jobs, *orders, *restore]
    acts += [*_kills(chance), *_pauses(chance), *_losses(chance, len(gpus))]
    acts += [Tell(at=_at(chance)) for _ in range(chance.randint(0, 6))]
    if chance.random() < 0.15:
        acts.append(Jump(at=_at(chance), seconds=chance.choice((-86_400, -3_600, 3_600, 86_400))))
    return Plan(
        seed=seed,
        gpus=gpus,
        prices={"t4": 0.5, "a100": 2.0},
        quotas=_quotas(chance),
        faults=_faults(chance),
        acts=tuple(sorted(acts, key=lambda act: act.at)),
    )


def _at(chance: random.Random) -> float:
    return round(chance.uniform(0.0, CHAOS), 2)


def _gpus(chance: random.Random) -> tuple[Gpu, ...]:
    made = []
    for number in range(chance.randint(1, 5)):
        kind, node = chance.choice(TYPES), chance.choice(NODES)
        made.append(Gpu(id=f"process/{kind}-{number}", type=kind, device=f"d{number}", node=node))
    return tuple(made)


def _submit(chance: random.Random, number: int) -> Submit:
    copies = chance.choice((1, 1, 1, 2, 3))
    return Submit(
        at=round(chance.uniform(0.0, CHAOS / 2), 2),
        job=JobId(f"j{number}"),
        owner=chance.choice(OWNERS),
        gpus=chance.choice((0, 1, 1, 1, 2)),
        types=chance.choice(((), ("t4",), ("a100", "t4"), ("t4", "a100"))),
        copies=copies,
        gang=copies > 1 and chance.random() < 0.3,
        priority=chance.choice((-100, 0, 0, 100)),
        preemptible=chance.random() < 0.5,
        max_price=chance.choice((None, None, None, 1.0)),
        run_at_most=chance.choice((None, None, None, 15.0, 30.0)),
        start_by=chance.choice((None, None, None, 20.0)),
    )


def _orders(chance: random.Random, job: Submit) -> list[Order]:
    orders: list[Order] = []
    at = job.at
    for _ in range(chance.choice((0, 1, 2, 3))):
        at = round(at + chance.uniform(0.5, CHAOS / 2), 2)
        what = chance.choice(("stop", "stop", "restart", "restart", "terminate", "1", "2", "3"))
        orders.append(Order(at=at, job=job.job, what=what))
    return orders


def _restore(chance: random.Random) -> list[Act]:
    if chance.random() >= 0.15:
        return []
    saved, back = sorted((_at(chance), _at(chance)))
    forgotten, back_after = chance.random() < 0.5, chance.uniform(0.1, 6.0)
    return [Backup(at=saved), Restore(at=back, back_after=back_after, forgotten=forgotten)]


def _one_copy(jobs: list[Submit], orders: list[Order]) -> tuple[list[Submit], list[Order]]:
    """Only a cluster runs several, and that gives no GPU twice, whatever the tables say."""
    alone = [msgspec.structs.replace(job, copies=1, gang=False) for job in jobs]
    return alone, [order for order in orders if not order.what.isdigit()]


def _kills(chance: random.Random) -> list[Act]:
    return [
        Kill(at=_at(chance), acting=chance.random() < 0.8, back_after=chance.uniform(0.1, 6.0))
        for _ in range(chance.choice((0, 1, 2, 4)))
    ]


def _pauses(chance: random.Random) -> list[Act]:
    return [
        Pause(at=_at(chance), seconds=chance.uniform(1.0, 30.0), deposed=chance.random() < 0.7)
        for _ in range(chance.choice((0, 0, 1, 2)))
    ]


def _losses(chance: random.Random, gpus: int) -> list[Act]:
    acts: list[Act] = []
    for _ in range(chance.choice((0, 0, 1, 3))):
        number = chance.choice((-1, 0, 0, 1, 2))
        acts.append(Vanish(at=_at(chance), number=number, trace=chance.random() < 0.5))
    for _ in range(chance.choice((0, 0, 1))):
        gone, seconds = chance.randrange(gpus), chance.uniform(5.0, CHAOS)
        acts.append(GpuGone(at=_at(chance), number=gone, seconds=seconds))
    return acts


def _quotas(chance: random.Random) -> tuple[tuple[str, str, int, int | None, str], ...]:
    if chance.random() < 0.6:
        return ()
    return tuple(
        (owner, chance.choice(("*", "t4")), chance.randint(0, 2), chance.choice((None, 0, 1)), "c")
        for owner in OWNERS
        if chance.random() < 0.7
    )


def _faults(chance: random.Random) -> Faults:
    def some(most: float) -> float:
        return chance.choice((0.0, 0.0, most / 4, most))

    return Faults(
        lost=some(0.05),
        unanswered=some(0.05),
        away=some(0.2),
        silent=some(0.2),
        slow=chance.choice((0.01, 0.1, 1.0)),
    )
