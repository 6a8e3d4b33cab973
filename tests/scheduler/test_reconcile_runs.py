"""What has to be done about batch jobs, for every pairing of what is wanted and what is there."""

from __future__ import annotations

import pytest

from services.scheduler.driver import Observed, Phase, Replica
from services.scheduler.reconcile import (
    Policy,
    RecordEnded,
    RecordFailed,
    RecordLost,
    RecordStarted,
    Start,
    Stop,
    Work,
    reconcile,
)
from services.scheduler.trouble import told
from shared.ids import JobId
from shared.lifecycle import State

R = Replica(JobId("j1"), 2)


def work(state, age=1.0, **more):
    return Work(
        job=R.job, attempt=R.attempt, state=State(state), restarts=0, age=age, batch=True, **more
    )


def seen(phase, **more):
    return Observed(phase=Phase(phase), **more)


def over(code, reason=""):
    return RecordEnded(replica=R, exit_code=code, reason=reason)


LATE = "ran for longer than the 60 s that it may"


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        (work("starting"), None, Start(replica=R)),
        (work("starting"), seen("starting"), None),
        (work("starting"), seen("gone"), Start(replica=R)),
        (work("starting"), seen("ready"), RecordStarted(replica=R, addresses=())),
        (work("starting"), seen("finished", exit_code=0), over(0)),
        (work("starting", age=601), seen("finished", exit_code=0), over(0)),
        (work("starting"), seen("finished", exit_code=3), over(3, "ended with exit code 3")),
        (work("starting"), seen("broken", reason="no"), RecordFailed(replica=R, reason="no", quote=False)),
        (work("running"), seen("ready"), None),
        (work("running", age=61, timeout=60), seen("ready"), over(None, LATE)),
        (work("running", age=59, timeout=60), seen("ready"), None),
        (work("running", age=61, timeout=60), seen("finished", exit_code=0), over(0)),
        (work("running", age=61, timeout=60), None, RecordLost(replica=R, reason="its processes vanished")),
        (work("running"), seen("gone", reason="away"), RecordLost(replica=R, reason="away")),
        (work("running"), seen("finished", exit_code=-15), over(-15, "ended by signal 15")),
        (
            work("running"),
            seen("finished", exit_code=137),
            over(137, "killed (SIGKILL), perhaps for want of memory"),
        ),
        (work("stopping"), seen("ready"), Stop(replica=R)),
        (work("stopping"), seen("finished", exit_code=0), Stop(replica=R)),
    ],
)  # fmt: skip
def test_what_has_to_be_done(wanted, there, expected):
    found = list(reconcile([wanted], {R: there} if there else {}, (), Policy(drain=0.5)))
    assert found == ([expected] if expected else [])


def test_one_that_is_not_wanted_any_more_is_ended():
    there = {R: seen("finished", exit_code=0)}
    assert list(reconcile([], there, (), Policy())) == [Stop(replica=R)]


def test_one_that_answers_nowhere_is_well():
    assert told([work("running")], {R: seen("ready")}, {}) == {}
