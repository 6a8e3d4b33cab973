"""The drills' look at a cluster tells of each thing that can be wrong, and of nothing else."""

from __future__ import annotations

import msgspec
import pytest

from tests.cluster.drilled import unserved
from tests.cluster.sight import Job, Sight, Thing, lost, moved, unsettled
from tests.cluster.traffic import Ask, Served, Tally

JOB = Job(
    id="j1",
    attempt=1,
    state="running",
    granted=1,
    copies=1,
    addresses=("doorman://10.0.0.1:7200",),
    reason="",
    gpus=1,
)
POD = Thing(
    kind="Pod",
    name="j1-1-a",
    uid="u1",
    version="1",
    replica="j1-1",
    ready=True,
    address="10.0.0.1",
    gpus=1,
)
DEPLOYMENT = Thing(
    kind="Deployment",
    name="j1-1",
    uid="u2",
    version="1",
    replica="j1-1",
    ready=True,
    copies=1,
)
GOOD = Sight(jobs=(JOB,), things=(POD, DEPLOYMENT))


def change(it: Thing | Job, **fields: object) -> Sight:
    """A look in which one thing is otherwise."""
    other = msgspec.structs.replace(it, **fields)
    return Sight(
        jobs=tuple(other if each == it else each for each in GOOD.jobs),
        things=tuple(other if each == it else each for each in GOOD.things),
    )


def test_what_is_as_told_is_settled() -> None:
    assert unsettled(GOOD) == []
    assert unsettled(Sight(jobs=(), things=())) == []


def test_what_was_told_to_go_is_no_copy_any_more() -> None:
    old = msgspec.structs.replace(POD, uid="u0", going=True, ready=False, address="", gpus=0)
    assert unsettled(Sight(jobs=(JOB,), things=(old, POD, DEPLOYMENT))) == []


@pytest.mark.parametrize(
    "seen",
    [
        Sight(jobs=(JOB,), things=(POD,)),
        Sight(jobs=(JOB,), things=(DEPLOYMENT,)),
        Sight(jobs=(), things=(POD, DEPLOYMENT)),
        change(JOB, state="starting"),
        change(JOB, state="stopped", gpus=0),
        change(JOB, granted=2),
        change(JOB, addresses=()),
        change(JOB, addresses=("doorman://10.0.0.2:7200",)),
        change(JOB, gpus=2),
        change(JOB, attempt=2),
        change(POD, ready=False),
        change(POD, gpus=0),
        change(POD, going=True),
        change(DEPLOYMENT, ready=False),
        change(DEPLOYMENT, going=True),
        change(DEPLOYMENT, copies=2),
    ],
)
def test_what_is_not_as_told_is_told(seen: Sight) -> None:
    assert unsettled(seen)


def test_what_was_healthy_and_is_gone_is_told_unless_the_test_ended_it() -> None:
    after = change(POD, uid="another", name="j1-1-b")
    assert lost(GOOD, after) == ["Pod j1-1-a was healthy and is gone"]
    assert lost(GOOD, after, spared=["j1-1-a"]) == []
    assert lost(change(POD, ready=False), after) == []


def test_whatever_is_written_is_told() -> None:
    assert moved(GOOD, GOOD) == []
    assert moved(GOOD, change(POD, version="2")) == ["Pod j1-1-a was changed"]
    assert len(moved(GOOD, change(POD, uid="another"))) == 2


def test_only_a_post_that_a_killed_router_had_may_fail() -> None:
    def tally(method: str, status: str, sent: float = 10.0) -> Tally:
        ask = Ask(method=method, url="http://router/")  # type: ignore[arg-type]
        return Tally(served=(Served(ask=ask, sent=sent, took=0.1, tries=1, status=status),))

    assert unserved(tally("POST", "ServerDisconnectedError"), [11.0]) == []
    assert unserved(tally("GET", "200"), []) == []
    for wrong in (
        tally("POST", "ServerDisconnectedError", sent=30.0),
        tally("GET", "ServerDisconnectedError"),
        tally("POST", "503"),
        tally("POST", "200 of somebody else: b''"),
    ):
        assert unserved(wrong, [11.0])
