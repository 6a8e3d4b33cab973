"""What must be done so that the target runs what the jobs table says. Pure and level-triggered.

It compares what is wanted with what is there and never asks how it came to be, so it does not
matter what was missed: run twice with nothing changed, it asks for the same steps, and once they
are done for none. An attempt that stopped being wanted is never wanted again, so whatever is
observed or holds GPUs without being wanted can be stopped. GPUs are released by carrying out Stop,
after the driver has said that nothing runs any more, or Release, after it has said that no more
copies run than may, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from services.scheduler.driver import Observed, Phase, Replica
from shared.address import Address
from shared.ids import JobId
from shared.lifecycle import State

LOOP: Final = 5
"""So many failing ends in a row are a crash loop."""

LINE: Final = 300  # of the last lines that a reason quotes, how much of each

KILLED: Final = (-9, 137)
"""Exit codes of a server, or of what it ran, that took more memory than there was for it."""

_COUNTS: Final = {5: "five"}


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A job in one of the states in which it may have processes."""

    job: JobId
    attempt: int
    state: State
    restarts: int
    age: float  # seconds in this state, by the database's clock
    addresses: tuple[Address, ...] = ()  # that are written down
    granted: int = 1  # copies that may run
    grants: int = 0  # how often that was set
    held: int = 0  # copies that hold GPUs
    reason: str = ""  # that is written down
    model: bool = False  # whether it has to answer `Status`, too
    batch: bool = False  # whether it runs to an end, and answers nowhere
    timeout: float | None = None  # seconds that a try of a batch job may run

    @property
    def replica(self) -> Replica:
        return Replica(self.job, self.attempt)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    start_deadline: float = 600.0  # seconds from its place to its readiness
    drain: float = 0.5  # seconds from the stop of its traffic to its own
    patience: float = 5.0  # seconds that a running job may be nowhere ready before that is told


class Step(msgspec.Struct, frozen=True, kw_only=True):
    replica: Replica


class Start(Step, frozen=True, kw_only=True):
    pass


class Stop(Step, frozen=True, kw_only=True):
    """End it; when it is gone, release its GPUs and, if that was asked for, call it stopped."""

    drain: float = 0.0


class RecordStarted(Step, frozen=True, kw_only=True):
    addresses: tuple[Address, ...]
    model: bool = False  # then it has started once it answers `Status`, too


class RecordMoved(Step, frozen=True, kw_only=True):
    addresses: tuple[Address, ...]


class Adjust(Step, frozen=True, kw_only=True):
    """Tell the target again what shall run: another number of copies, or what was changed there."""

    drift: str = ""  # what somebody else changed


class Release(Step, frozen=True, kw_only=True):
    """Free the GPUs of copies that may not run any more, and do not."""

    granted: int
    grants: int


class RecordFailed(Step, frozen=True, kw_only=True):
    reason: str
    quote: bool = True  # whether the last lines of its log belong to the reason


class RecordLost(Step, frozen=True, kw_only=True):
    reason: str


class RecordEnded(Step, frozen=True, kw_only=True):
    """A try of a batch job is over: by an exit code, or because its time was."""

    exit_code: int | None = None
    reason: str = ""  # why it is no success; empty: it is one


def reconcile(
    works: Sequence[Work],
    observed: Mapping[Replica, Observed],
    holders: Collection[Replica],
    policy: Policy,
    nowhere: Mapping[Replica, float] = {},
    late: Collection[Replica] = (),
) -> Iterator[Step]:
    """At most one step for each replica. `holders` are those with GPUs not yet released.

    `nowhere` says for how long each of those that are `unready` has been so. Those that are `late`
    don't start yet: something else is still where they are to run.
    """
    wanted = {work.replica for work in works}
    for work in works:
        step = _step(work, observed.get(work.replica), policy, nowhere.get(work.replica, 0.0))
        if step is not None and not (isinstance(step, Start) and work.replica in late):
            yield step
    for replica in sorted({*observed, *holders} - wanted):
        seen = observed.get(replica)  # one that gave way has its last requests in hand
        ready = seen is not None and seen.phase is Phase.READY
        yield Stop(replica=replica, drain=policy.drain if ready else 0.0)


def restarted(works: Sequence[Work], observed: Mapping[Replica, Observed]) -> dict[Replica, int]:
    """How often the servers were started again, where the table has another number."""
    return {
        work.replica: seen.restarts
        for work in works
        if (seen := observed.get(work.replica)) is not None and seen.restarts != work.restarts
    }


def over(observed: Mapping[Replica, Observed]) -> list[Replica]:
    """Those that have run to their end."""
    return [replica for replica, seen in observed.items() if seen.phase is Phase.FINISHED]


def unready(works: Sequence[Work], observed: Mapping[Replica, Observed]) -> set[Replica]:
    """Those that run and have no copy that takes requests."""
    return {
        work.replica
        for work in works
        if work.state is State.RUNNING
        and (seen := observed.get(work.replica)) is not None
        and not seen.addresses
    }


def quoting(reason: str, lines: Sequence[str]) -> str:
    """`reason` with the end of the log, oldest line first."""
    if not lines:
        return f"{reason}; it printed nothing"
    return f"{reason}; last lines: {' | '.join(line[:LINE] for line in lines)}"


def _step(work: Work, seen: Observed | None, policy: Policy, nowhere: float) -> Step | None:
    match work.state:
        case State.STARTING:
            return _starting(work, seen, policy)
        case State.RUNNING:
            return _running(work, seen, nowhere >= policy.patience)
        case State.STOPPING:
            return Stop(replica=work.replica, drain=_drain(work, seen, policy))
        case _:
            return Stop(replica=work.replica)


def _starting(work: Work, seen: Observed | None, policy: Policy) -> Step | None:
    if seen is not None:
        if seen.phase is Phase.FINISHED:
            return _over(work, seen)
        if seen.phase is Phase.READY and (seen.addresses or work.batch):
            addresses = tuple(sorted(seen.addresses))
            return RecordStarted(replica=work.replica, addresses=addresses, model=work.model)
        if (failed := _failed(work, seen)) is not None:
            return failed
    if work.age > policy.start_deadline:
        reason = f"did not become ready in {policy.start_deadline:g} s"
        told = seen.reason if seen is not None else ""
        # what its target says of it is the reason; without that, its log must speak
        return RecordFailed(
            replica=work.replica, reason=f"{reason}: {told}" if told else reason, quote=not told
        )
    if seen is None or seen.phase is Phase.GONE:
        return Start(replica=work.replica)
    return _copies(work, seen)


def _running(work: Work, seen: Observed | None, forsaken: bool) -> Step | None:
    if seen is None or seen.phase is Phase.GONE:
        reason = (seen and seen.reason) or "its processes vanished"
        return RecordLost(replica=work.replica, reason=reason)
    if seen.phase is Phase.FINISHED:
        return _over(work, seen)
    if (failed := _failed(work, seen)) is not None:
        return failed
    if work.timeout is not None and work.age > work.timeout:
        reason = f"ran for longer than the {work.timeout:g} s that it may"
        return RecordEnded(replica=work.replica, reason=reason)
    # what is not ready for a moment is between two lives, and its router waits for it
    known = seen.phase is Phase.READY if seen.addresses else forsaken
    if known and set(seen.addresses) != set(work.addresses):
        return RecordMoved(replica=work.replica, addresses=tuple(sorted(seen.addresses)))
    return _copies(work, seen)


def _copies(work: Work, seen: Observed) -> Step | None:
    if seen.drift or seen.wanted not in (None, work.granted):
        return Adjust(replica=work.replica, drift=seen.drift)
    if work.held > work.granted >= seen.copies:
        return Release(replica=work.replica, granted=work.granted, grants=work.grants)
    return None


def _failed(work: Work, seen: Observed) -> RecordFailed | None:
    if seen.phase is Phase.BROKEN:
        # its own last words are the reason; without any, the log must speak
        reason = seen.reason or "its server said that it can never start"
        return RecordFailed(replica=work.replica, reason=reason, quote=not seen.reason)
    if seen.phase is Phase.CRASHING and seen.failures >= LOOP:
        times = _COUNTS.get(seen.failures, str(seen.failures))
        reason = f"crash loop: {_ended(seen)} {times} times in a row"
        return RecordFailed(replica=work.replica, reason=reason)
    return None


def _over(work: Work, seen: Observed) -> RecordEnded:
    code = seen.exit_code
    reason = "" if code == 0 else _ended(seen).rstrip(",")
    return RecordEnded(replica=work.replica, exit_code=code, reason=reason)


def _ended(seen: Observed) -> str:
    exit_code = seen.exit_code
    if exit_code is None:  # its target ended it, and says why
        return f"{seen.reason}," if seen.reason else "ended"
    if exit_code in KILLED:
        return "killed (SIGKILL), perhaps for want of memory,"
    if exit_code < 0:
        return f"ended by signal {-exit_code}"
    return f"ended with exit code {exit_code}"


def _drain(work: Work, seen: Observed | None, policy: Policy) -> float:
    """How much longer its last requests may take. What was never ready has none."""
    if seen is None or work.batch:
        return 0.0
    served = seen.phase is Phase.READY or seen.restarts > 0
    return max(0.0, policy.drain - work.age) if served else 0.0
