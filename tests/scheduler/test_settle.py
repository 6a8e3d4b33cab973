"""What becomes of an application, for every way in which its servables may be."""

from __future__ import annotations

import msgspec
import pytest

from services.scheduler.settle import LONGEST, TOLD, Servable, Unneeded, ended, settled
from shared.application import ApplicationState
from shared.events import ApplicationFailed, ApplicationReady, JobStopping, JobTerminated
from shared.ids import ApplicationId, JobId
from shared.lifecycle import LIVE, State
from tests.scheduler.assembly import assembly

READY = ApplicationReady(application=ApplicationId("a1"), name="claims", revision=2)


def failed(reason: str) -> ApplicationFailed:
    return ApplicationFailed(
        application=ApplicationId("a1"), name="claims", revision=2, reason=reason
    )


KNOWN = msgspec.structs.replace(
    assembly("failed", reason="no", state=ApplicationState.FAILED), reason="m1:1: no"
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (assembly("running"), READY),
        (assembly("running", "running", live=None, revision=2), READY),
        (assembly("running", "starting"), None),
        (assembly("submitted"), None),
        (assembly("building", "queued"), None),
        (assembly("running", "failed", reason="no"), failed("m2:1: no")),
        (assembly("starting", "failed", reason="no"), failed("m2:1: no")),
        (assembly("failed", "failed", reason="no"), failed("m1:1: no; m2:1: no")),
        (assembly("failed"), failed("m1:1: it failed")),
        (assembly("stopped"), failed("m1:1: its job was ended")),
        (assembly("stopping"), failed("m1:1: its job was ended")),
        (assembly("purged"), failed("m1:1: its job was ended")),
        # what is known is not said again
        (assembly("running", state="ready", live=2), None),
        (KNOWN, None),
        # an application that answers
        (assembly("queued", state="ready", live=2), None),
        (assembly("running", "failed", reason="no", state="ready", live=2), failed("m2:1: no")),
        (assembly("running", state="ready", live=1), READY),
        # and one that did not
        (assembly("starting", state="failed"), None),
        (assembly("running", state="failed"), READY),
    ],
)
def test_it_is_settled_by_how_its_servables_are(found, expected):
    assert settled(found) == expected


@pytest.mark.parametrize("state", State)
def test_once_it_is_written_down_there_is_nothing_more(state):
    found = assembly(state)
    fact = settled(found)
    if isinstance(fact, ApplicationReady):
        found = msgspec.structs.replace(found, state=ApplicationState.READY, live=2)
    elif fact is not None:
        found = msgspec.structs.replace(found, state=ApplicationState.FAILED, reason=fact.reason)
    assert settled(found) is None


def test_a_reason_has_an_end():
    many = tuple(
        Servable(model=f"m{n}", version_name="1", state=State.FAILED, reason="x" * 10_000)
        for n in range(50)
    )
    fact = settled(assembly(servables=many))
    assert isinstance(fact, ApplicationFailed)
    assert fact.reason.endswith("; and 47 more")
    assert len(fact.reason) < TOLD * (LONGEST + 20) + 20


@pytest.mark.parametrize("state", State)
def test_what_nobody_needs_is_stopped_and_then_terminated(state):
    fact = ended(Unneeded(job=JobId("j1"), attempt=3, state=state))
    if state in LIVE:
        assert fact == JobStopping(job=JobId("j1"), attempt=3, by="slipway")
    elif state in (State.STOPPED, State.FAILED):
        assert fact == JobTerminated(job=JobId("j1"), attempt=3, by="slipway")
    else:
        assert fact is None
