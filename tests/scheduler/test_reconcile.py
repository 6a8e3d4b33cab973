"""What has to be done, for every pairing of what is wanted and what is there."""

from __future__ import annotations

import pytest

from services.scheduler.driver import Observed, Phase, Replica
from services.scheduler.reconcile import (
    LOOP,
    Adjust,
    Policy,
    RecordEnded,
    RecordFailed,
    RecordLost,
    RecordMoved,
    RecordStarted,
    Release,
    Start,
    Stop,
    Work,
    quoting,
    reconcile,
    restarted,
    unready,
)
from services.scheduler.trouble import told
from shared.address import Address
from shared.ids import JobId
from shared.lifecycle import State

POLICY = Policy(start_deadline=600.0, drain=0.5)
R = Replica(JobId("j1"), 2)
HERE = Address("http://127.0.0.1:1")


THERE = Address("http://127.0.0.1:2")


def work(state, age=1.0, restarts=0, **more):
    more = {"addresses": (HERE,) if state == "running" else ()} | more
    return Work(
        job=R.job, attempt=R.attempt, state=State(state), restarts=restarts, age=age, **more
    )


def seen(phase, **more):
    return Observed(phase=Phase(phase), **{"addresses": (HERE,)} | more)


def steps(works, observed=None, holders=(), nowhere=0.0):
    there = {R: observed} if observed else {}
    return list(reconcile(works, there, holders, POLICY, {R: nowhere}))


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
        (work("starting", age=601), seen("starting", reason="no place for it in the cluster"), RecordFailed(replica=R, reason="did not become ready in 600 s: no place for it in the cluster", quote=False)),
        (work("starting", age=601), None, RecordFailed(replica=R, reason="did not become ready in 600 s")),
        (work("starting", age=601), seen("ready"), RecordStarted(replica=R, addresses=(HERE,))),
        (work("running"), seen("ready"), None),
        (work("running"), seen("starting"), None),
        (work("running"), seen("ready", restarts=500, exit_code=0), None),
        (work("running"), seen("crashing", failures=0, restarts=90, exit_code=0), None),
        (work("running"), LOOPING, RecordFailed(replica=R, reason="crash loop: ended with exit code 1 five times in a row")),
        (work("running"), seen("crashing", failures=9, exit_code=-6), RecordFailed(replica=R, reason="crash loop: ended by signal 6 9 times in a row")),
        (work("running"), seen("crashing", failures=5, exit_code=-9), RecordFailed(replica=R, reason="crash loop: killed (SIGKILL), perhaps for want of memory, five times in a row")),
        (work("running"), seen("crashing", failures=5, reason="it took too much"), RecordFailed(replica=R, reason="crash loop: it took too much, five times in a row")),
        (work("running"), seen("finished", reason="it wrote too much"), RecordEnded(replica=R, reason="it wrote too much")),
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


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        (work("starting"), seen("ready", addresses=()), None),
        (work("starting"), seen("ready", addresses=(THERE, HERE)), RecordStarted(replica=R, addresses=(HERE, THERE))),
        (work("running"), seen("ready", addresses=(THERE,)), RecordMoved(replica=R, addresses=(THERE,))),
        (work("running"), seen("ready", addresses=(THERE, HERE)), RecordMoved(replica=R, addresses=(HERE, THERE))),
        (work("running", addresses=(HERE, THERE)), seen("ready", addresses=(THERE, HERE)), None),
        (work("running"), seen("starting", addresses=(THERE,)), None),
        (work("running"), seen("ready", addresses=()), None),
        (work("running"), seen("crashing", addresses=()), None),
        (work("starting"), seen("starting", wanted=2), Adjust(replica=R)),
        (work("starting", granted=2), seen("starting", wanted=1), Adjust(replica=R)),
        (work("running", granted=2), seen("ready", wanted=1), Adjust(replica=R)),
        (work("running", granted=2), seen("ready", wanted=None), None),
        (work("running"), seen("ready", wanted=1, drift="its image"), Adjust(replica=R, drift="its image")),
        (work("running"), seen("gone", wanted=5, drift="its image"), RecordLost(replica=R, reason="its processes vanished")),
        (work("stopping"), seen("starting", wanted=5, drift="its image"), Stop(replica=R)),
        (work("running", held=3), seen("ready", wanted=1, copies=2), None),
        (work("running", held=3), seen("ready", wanted=1, copies=1), Release(replica=R, granted=1, grants=0)),
        (work("running", held=3), seen("ready", wanted=3, copies=1), Adjust(replica=R)),
        (work("starting", held=3), seen("starting", wanted=1, copies=1), Release(replica=R, granted=1, grants=0)),
        (work("running", granted=3, held=3), seen("ready", wanted=3, copies=1), None),
    ],
)  # fmt: skip
def test_what_is_done_about_copies(wanted, there, expected):
    assert steps([wanted], there, [R]) == ([expected] if expected else [])


@pytest.mark.parametrize(("seconds", "told"), [(0.0, False), (4.9, False), (5.0, True)])
def test_what_is_ready_nowhere_for_a_while_has_no_address(seconds, told):
    for phase in ("ready", "starting", "crashing"):
        found = steps([work("running")], seen(phase, addresses=()), nowhere=seconds)
        assert found == ([RecordMoved(replica=R, addresses=())] if told else [])
    assert steps([work("running", addresses=())], seen("starting", addresses=()), nowhere=9) == []


def test_only_what_runs_can_be_unready():
    nothing = seen("starting", addresses=())
    assert unready([work("running")], {R: nothing}) == {R}
    assert unready([work("starting")], {R: nothing}) == set()
    assert unready([work("running")], {R: seen("ready")}) == set()
    assert unready([work("running")], {}) == set()


@pytest.mark.parametrize(
    ("wanted", "there", "waits", "expected"),
    [
        (work("running"), seen("ready"), "", None),
        (work("running"), seen("ready", reason="old"), "", None),
        (work("running", reason="old"), seen("ready"), "", ""),
        (work("running"), seen("crashing", reason="back-off"), "", "back-off"),
        (work("running", reason="back-off"), seen("crashing", reason="back-off"), "", None),
        (work("running"), seen("ready", copies=2, reason="1 crashes"), "", "1 crashes"),
        (work("starting"), seen("starting", reason="no image"), "waits", "no image; waits"),
        (work("running"), None, "waits", "waits"),
        (work("stopping", reason="old"), seen("starting"), "", None),
    ],
)
def test_what_is_wrong_is_told_until_it_is_well(wanted, there, waits, expected):
    found = told([wanted], {R: there} if there else {}, {R.job: waits} if waits else {})
    assert found == ({} if expected is None else {R: expected})


def test_a_model_that_listens_and_does_not_serve_says_why():
    there, loading = {R: seen("ready")}, {R: "loading"}
    assert told([work("starting", model=True)], there, {}, loading) == {R: "loading"}
    assert told([work("running", model=True, reason="loading")], there, {}) == {R: ""}
    worse = {R: seen("crashing", reason="back-off")}
    assert told([work("running", model=True)], worse, {}, loading) == {R: "back-off"}


def test_a_model_that_is_ready_has_to_say_so_itself():
    [step] = steps([work("starting", model=True)], seen("ready"))
    assert step == RecordStarted(replica=R, addresses=(HERE,), model=True)


def test_what_nobody_wants_is_stopped():
    assert steps([], seen("ready")) == [Stop(replica=R, drain=0.5)]
    assert steps([], seen("crashing")) == [Stop(replica=R)]


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
