from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.scheduler.driver import Observed, Phase
from services.scheduler.drivers.kubernetes import seen
from services.scheduler.drivers.kubernetes.objects import Deployment, Node, Pod
from tests.scheduler.kubernetes.driver.pods import (
    BEFORE,
    JUST_NOW,
    NOW,
    deployment,
    ended,
    node,
    pod,
    running,
    waiting,
)

NOT_FOUND = "rpc error: code = NotFound desc = failed to resolve reference: not found"
AWAY = "failed to do request: dial tcp 10.0.0.1:443: connect: connection refused"
BACK_OFF = "back-off 40s restarting failed container=server pod=j1-1-abc"
LAST_WORD = "Traceback (most recent call last):\nslipway: there is no module app\n"


def look(*pods: Pod, on: Deployment | None = None, nodes: tuple[Node, ...] = ()) -> Observed:
    return seen.observed(
        on or deployment(len(pods) or 1), pods, NOW, {one.metadata.name: one for one in nodes}
    )


CASES: list[tuple[str, Pod, Phase, str]] = [
    (
        "no such image",
        pod(server=waiting("ErrImagePull", NOT_FOUND)),
        Phase.BROKEN,
        "its image can't be pulled: rpc error",
    ),
    (
        "the registry is away",
        pod(server=waiting("ErrImagePull", AWAY)),
        Phase.STARTING,
        "its image can't be pulled: failed to do request",
    ),
    (
        "waits to pull again",
        pod(server=waiting("ImagePullBackOff", 'Back-off pulling image "x"')),
        Phase.STARTING,
        "its image can't be pulled: Back-off",
    ),
    (
        "no image's name",
        pod(server=waiting("InvalidImageName", "couldn't parse image")),
        Phase.BROKEN,
        "its image has no valid name",
    ),
    (
        "a secret is missing",
        pod(server=waiting("CreateContainerConfigError", 'secret "x" not found')),
        Phase.STARTING,
        'its container can\'t be made: secret "x" not found',
    ),
    (
        "it would be root",
        pod(server=waiting("CreateContainerConfigError", "image will run as root")),
        Phase.BROKEN,
        "its container can't be made",
    ),
    (
        "no shell",
        pod(
            server={
                "restartCount": 1,
                "state": ended(128, "StartError", 'exec: "/bin/sh": no such file or directory'),
            }
        ),
        Phase.BROKEN,
        "its container can't be started",
    ),
    (
        "crash loop",
        pod(
            server=waiting(
                "CrashLoopBackOff", BACK_OFF, restartCount=9, lastState=ended(3, message="?")
            )
        ),
        Phase.CRASHING,
        "its server ended with exit code 3",
    ),
    (
        "out of memory",
        pod(server={"restartCount": 1, "state": ended(137, "OOMKilled")}),
        Phase.CRASHING,
        "killed for want of memory (its limit is 512 MB)",
    ),
    (
        "it says that it can never start",
        pod(server={"state": ended(78, message=LAST_WORD)}),
        Phase.BROKEN,
        "there is no module app",
    ),
    (
        "it said so a moment ago, and runs again for now",
        pod(
            ready=True,
            server=running(JUST_NOW, restartCount=1, lastState=ended(78, message=LAST_WORD)),
        ),
        Phase.BROKEN,
        "there is no module app",
    ),
    (
        "no place",
        pod(
            phase="Pending",
            node="",
            conditions=[
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                }
            ],
        ),
        Phase.STARTING,
        "no place for it in the cluster: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu",
    ),
    (
        "its doorman does not come",
        pod(
            server=running(),
            others=[{"name": "doorman", **waiting("ErrImagePull", AWAY)}],
        ),
        Phase.STARTING,
        "its doorman: its image can't be pulled",
    ),
    (
        "its preparation fails",
        pod(initContainerStatuses=[{"name": "x", "state": ended(2)}]),
        Phase.STARTING,
        "its preparation failed: its server ended with exit code 2",
    ),
    (
        "evicted, and nothing yet in its place",
        pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        Phase.STARTING,
        "a copy of it was evicted: The node was low on resource: memory",
    ),
    (
        "not admitted",
        pod(phase="Failed", reason="UnexpectedAdmissionError", message="Allocate failed"),
        Phase.STARTING,
        "a copy of it was not let onto its machine: Allocate failed",
    ),
    (
        "preempted",
        pod(phase="Failed", reason="Preempting", message="Preempted in order to admit"),
        Phase.STARTING,
        "a copy of it gave way to something more urgent",
    ),
]


@pytest.mark.parametrize(
    ("found", "phase", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_k08_what_a_pod_tells_becomes_a_phase_and_a_reason(
    found: Pod, phase: Phase, reason: str
) -> None:
    looked = look(found)
    assert looked.phase is phase
    assert reason in looked.reason
    assert looked.addresses == ()


def test_a_ready_copy_has_an_address() -> None:
    looked = look(pod(ready=True, server=running(restartCount=2, lastState=ended(1))))
    assert looked.phase is Phase.READY
    assert looked.addresses == ("doorman://10.1.2.3:7200",)
    assert (looked.restarts, looked.failures, looked.exit_code) == (2, 0, 1)
    assert looked.reason == ""


def test_failures_in_a_row_are_read_from_how_long_kubelet_waits() -> None:
    found = pod(server=waiting("CrashLoopBackOff", BACK_OFF, restartCount=9, lastState=ended(139)))
    assert (look(found).failures, look(found).exit_code) == (4, -11)


def test_one_ready_copy_makes_a_replica_ready_whatever_the_others_are() -> None:
    crashing = pod(name="b", server=waiting("CrashLoopBackOff", BACK_OFF, restartCount=9))
    looked = look(crashing, pod(name="a", ready=True, server=running()))
    assert looked.phase is Phase.READY
    assert looked.copies == 2
    assert len(looked.addresses) == 1
    assert looked.failures == 0


def test_a_copy_that_leaves_is_sent_nothing_but_may_hold_gpus() -> None:
    leaving = {"deletionTimestamp": "2026-01-01T12:00:20Z"}
    looked = look(pod(ready=True, server=running(), metadata=leaving))
    assert (looked.phase, looked.addresses, looked.copies) == (Phase.STARTING, (), 1)


def test_a_copy_that_should_have_ended_long_ago_is_told_of() -> None:
    found = pod(server=running(), metadata={"deletionTimestamp": "2026-01-01T11:50:00Z"})
    assert look(found).reason == "its copy j1-1-abc on the machine node-1 does not end"


def test_a_machine_that_does_not_answer_is_told_of() -> None:
    looked = look(pod(server=running()), nodes=(node(ready=False),))
    assert (looked.phase, looked.reason) == (
        Phase.STARTING,
        "its machine node-1 is not ready",
    )


def test_k07_a_copy_that_was_ready_when_its_machine_fell_silent_keeps_its_address() -> None:
    server, doorman = running(ready=True), {"name": "doorman", "ready": True}
    for silent in (True, False):  # its pods are called ready again a while after it is
        nodes = (node(ready=not silent),)
        looked = look(pod(server=server, others=[doorman]), nodes=nodes)
        assert (looked.phase, len(looked.addresses)) == (Phase.READY, 1)
    doorman["ready"] = False
    assert look(pod(server=server, others=[doorman]), nodes=nodes).addresses == ()


def test_copies_that_are_over_hold_nothing() -> None:
    looked = look(pod(phase="Failed", reason="Evicted"), on=deployment(1))
    assert looked.copies == 0


def test_pods_that_a_cluster_does_not_allow_are_told_of() -> None:
    def refused(message: str) -> Observed:
        told = {"type": "ReplicaFailure", "status": "True", "message": message}
        return look(on=deployment(1, conditions=[told]))

    assert refused('pods "x" is forbidden: exceeded quota: q').phase is Phase.STARTING
    assert refused('pods "x" is forbidden: violates PodSecurity').phase is Phase.BROKEN


def test_how_many_were_wanted_is_what_its_deployment_says() -> None:
    assert look(on=deployment(3)).wanted == 3
    assert look(on=deployment(0)).reason == "it is told to run no copies"
    assert seen.observed(deployment(3), (), NOW, {}, autoscaled=True).wanted is None


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"metadata": {"labels": None}, "spec": None, "status": None},
        {"spec": {"containers": None}, "status": {"conditions": None, "containerStatuses": None}},
        {"status": {"containerStatuses": [{"name": "server", "state": None, "lastState": None}]}},
        {"status": {"containerStatuses": [{"name": "server", "restartCount": -5, "state": {}}]}},
        {
            "metadata": {"deletionTimestamp": "soon"},
            "status": {
                "podIP": "nowhere",
                "conditions": [{"type": "Ready", "status": "True"}, {}],
                "containerStatuses": [
                    {"name": None},
                    {"name": "server", "state": {"running": {"startedAt": "?"}}},
                ],
            },
        },
        {"status": {"containerStatuses": [{"name": "server", "state": {"terminated": {}}}]}},
        {"status": {"containerStatuses": [{"name": "server", "state": {"waiting": {}}}]}},
        {"status": {"phase": "Failed", "reason": None, "message": None}},
    ],
)
def test_what_is_missing_or_odd_does_no_harm(odd: dict[str, Any]) -> None:
    looked = look(msgspec.convert(odd, Pod))
    assert looked.addresses == ()
    assert BEFORE not in looked.reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, "its server ended with exit code 1"),
        (137, "killed (SIGKILL), perhaps for want of memory (its limit is 512 MB)"),
        (139, "its server was ended by signal 11"),
    ],
)
def test_s15_each_end_of_a_server_has_its_own_reason(code: int, reason: str) -> None:
    looked = look(pod(server={"restartCount": 1, "state": ended(code)}))
    assert looked.phase is Phase.CRASHING
    assert reason in looked.reason


def test_s15_one_that_never_answers_and_one_that_answered_and_hangs_are_not_ready() -> None:
    for restarts in (0, 1):
        looked = look(pod(server=running(restartCount=restarts)))
        assert (looked.phase, looked.addresses, looked.failures) == (Phase.STARTING, (), 0)


def test_s07_a_machine_that_is_started_anew_goes_on_with_the_same_attempt() -> None:
    """Its kubelet starts the same pods again, and their lives before count as one failed end."""
    before = pod(ready=True, server=running())
    after = pod(server=running(restartCount=1, lastState=ended(255, "Unknown")))
    again = pod(ready=True, server=running(restartCount=1, lastState=ended(255, "Unknown")))
    found = [look(each) for each in (before, after, again)]
    assert Phase.GONE not in {each.phase for each in found}
    assert max(each.failures for each in found) == 1
    assert found[2].phase is Phase.READY
    assert found[2].restarts == 1
