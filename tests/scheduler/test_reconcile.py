"""What has to be done, for every pairing of what is wanted and what is there."""

from __future__ import annotations

import pytest

from services.scheduler.driver import Observed, Phase, Replica
from services.scheduler.reconcile import (
    LOOP,
    Policy,
    RecordFailed,
    RecordLost,
    RecordStarted,
    Start,
    Stop,
    Work,
    quoting,
    reconcile,
    restarted,
)
from shared.address import Address
from shared.ids import JobId
from shared.lifecycle import State

POLICY = Policy(start_deadline=600.0, drain=0.5)
R = Replica(JobId("j1"), 2)
HERE = Address("http://127.0.0.1:1")


def work(state, age=1.0, restarts=0):
    return Work(job=R.job, attempt=R.attempt, state=State(state), restarts=restarts, age=age)


def seen(phase, **more):
    return Observed(phase=Phase(phase), addresses=(HERE,), **more)


def steps(works, observed=None, holders=()):
    return list(reconcile(works, {R: observed} if observed else {}, holders, POLICY))


LOOPING = seen("crashing", failures=LOOP, exit_code=1)


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        (work("starting"), None, Start(replica=R)),
        (work("starting"), seen("gone"), Start(replica=R)),
        (work("starting"), seen("starting"), None),
        (work("starting"), seen("ready"), RecordStarted(replica=R, addresses=(HERE,))),
        (work("starting"), seen("crashing", failures=LOOP - 1, exit_code=1), None),
        (work("starting"), LOOPING, RecordFailed(replica=R, reason="crash loop: ended with exit code 1 five times in a row")),
        (work("starting"), seen("broken", reason="no function f"), RecordFailed(replica=R, reason="no function f", quote=False)),
        (work("starting"), seen("broken"), RecordFailed(replica=R, reason="its server said that it can never start")),
        (work("starting", age=601), seen("starting"), RecordFailed(replica=R, reason="did not become ready in 600 s")),
        (work("starting", age=601), None, RecordFailed(replica=R, reason="did not become ready in 600 s")),
        (work("starting", age=601), seen("ready"), RecordStarted(replica=R, addresses=(HERE,))),
        (work("running"), seen("ready"), None),
        (work("running"), seen("starting"), None),
        (work("running"), seen("ready", restarts=500, exit_code=0), None),
        (work("running"), seen("crashing", failures=0, restarts=90, exit_code=0), None),
        (work("running"), LOOPING, RecordFailed(replica=R, reason="crash loop: ended with exit code 1 five times in a row")),
        (work("running"), seen("crashing", failures=9, exit_code=-6), RecordFailed(replica=R, reason="crash loop: ended by signal 6 9 times in a row")),
        (work("running"), seen("crashing", failures=5, exit_code=-9), RecordFailed(replica=R, reason="crash loop: killed (SIGKILL), perhaps for want of memory, five times in a row")),
        (work("running"), seen("crashing", failures=5, exit_code=137), RecordFailed(replica=R, reason="crash loop: killed (SIGKILL), perhaps for want of memory, five times in a row")),
        (work("running"), seen("gone"), RecordLost(replica=R, reason="its processes vanished")),
        (work("running"), seen("gone", reason="the machine restarted"), RecordLost(replica=R, reason="the machine restarted")),
        (work("running"), None, RecordLost(replica=R, reason="its processes vanished")),
        (work("stopping"), None, Stop(replica=R)),
        (work("stopping"), seen("starting"), Stop(replica=R)),
        (work("stopping", age=0.2), seen("ready"), Stop(replica=R, drain=0.3)),
        (work("stopping", age=0.2), seen("starting", restarts=1), Stop(replica=R, drain=0.3)),
        (work("stopping", age=9), seen("ready"), Stop(replica=R)),
        (work("stopping"), seen("gone"), Stop(replica=R)),
    ],
)  # fmt: skip
def test_what_is_done(wanted, there, expected):
    assert steps([wanted], there, [R]) == ([expected] if expected else [])


def test_what_nobody_wants_is_stopped():
    assert steps([], seen("ready")) == [Stop(replica=R)]


def test_what_holds_gpus_and_is_not_wanted_is_stopped_before_they_are_free():
    assert steps([], None, [R]) == [Stop(replica=R)]


def test_the_attempt_before_is_stopped_while_the_next_one_starts():
    before = Replica(R.job, 1)
    assert steps([work("starting")], None, [before]) == [Start(replica=R), Stop(replica=before)]


def test_each_replica_has_one_step_at_most():
    others = {Replica(JobId("j0"), 1): seen("ready"), R: seen("ready")}
    found = list(reconcile([work("starting")], others, [*others], POLICY))
    assert len({step.replica for step in found}) == len(found) == 2


@pytest.mark.parametrize(
    ("written", "there", "expected"),
    [(0, 3, {R: 3}), (3, 3, {}), (3, 0, {R: 0})],
)
def test_restarts_are_written_where_they_are_another_number(written, there, expected):
    works = [work("running", restarts=written)]
    assert restarted(works, {R: seen("ready", restarts=there)}) == expected


def test_restarts_of_what_is_not_there_are_left():
    assert restarted([work("running", restarts=2)], {}) == {}


def test_a_reason_quotes_the_log():
    assert quoting("broke", ["a", "b" * 1000]) == f"broke; last lines: a | {'b' * 300}"
    assert quoting("broke", []) == "broke; it printed nothing"
