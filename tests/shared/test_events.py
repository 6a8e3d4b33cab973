"""The wire is a promise: names and bytes are pinned, and the future is read with patience."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from shared.events import (
    FACTS,
    Event,
    Fact,
    JobFact,
    JobPlaced,
    JobQueued,
    JobStarted,
    decode,
    encode,
)
from shared.ids import JobId

NAMES = {
    "slipway.alias.moved.v1",
    "slipway.deployment.created.v1",
    "slipway.gpu.appeared.v1",
    "slipway.gpu.released.v1",
    "slipway.gpu.vanished.v1",
    "slipway.job.building.v1",
    "slipway.job.failed.v1",
    "slipway.job.finished.v1",
    "slipway.job.lost.v1",
    "slipway.job.placed.v1",
    "slipway.job.purged.v1",
    "slipway.job.queued.v1",
    "slipway.job.restarted.v1",
    "slipway.job.started.v1",
    "slipway.job.stopped.v1",
    "slipway.job.stopping.v1",
    "slipway.job.submitted.v1",
    "slipway.job.terminated.v1",
    "slipway.version.failed.v1",
    "slipway.version.ready.v1",
    "slipway.version.submitted.v1",
}

EVENT = Event(
    id="0b9bbd8e-0000-4000-8000-000000000000",
    source="/acme/shop",
    type=JobStarted.type,
    subject="j1",
    time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    data=msgspec.Raw(encode(JobStarted(job=JobId("j1"), attempt=2, address="http://h:1"))),
)

WIRE = (
    b'{"id":"0b9bbd8e-0000-4000-8000-000000000000","source":"/acme/shop",'
    b'"type":"slipway.job.started.v1","subject":"j1","time":"2026-01-02T03:04:05Z",'
    b'"data":{"job":"j1","attempt":2,"address":"http://h:1","addresses":[]},'
    b'"specversion":"1.0","datacontenttype":"application/json"}'
)


def test_no_fact_was_renamed_or_taken_away() -> None:
    assert set(FACTS) >= NAMES


def test_every_fact_is_a_cloud_event_type_and_fits_a_routing_key() -> None:
    for name in FACTS:
        slipway, thing, what, version = name.split(".")
        assert slipway == "slipway"
        assert thing.isalpha()
        assert what.replace("_", "").isalpha()
        assert version.startswith("v")
        assert len(name) < 200


def test_the_bytes_on_the_wire_are_pinned() -> None:
    assert encode(EVENT) == WIRE
    assert decode(WIRE) == EVENT


def test_what_was_said_before_facts_had_more_fields_is_still_understood() -> None:
    old = msgspec.json.decode(b'{"job":"j1","address":"http://h:1"}', type=JobStarted)
    assert (old.attempt, old.address, old.addresses) == (1, "http://h:1", ())
    placed = msgspec.json.decode(b'{"job":"j1","gpus":["g1"]}', type=JobPlaced)
    assert (placed.gpus, placed.copies) == (("g1",), 1)


def test_a_fact_comes_back_from_its_event() -> None:
    assert decode(WIRE).fact() == JobStarted(job=JobId("j1"), attempt=2, address="http://h:1")


def test_M17_a_field_from_the_future_is_ignored() -> None:
    newer = WIRE.replace(b'"attempt":2', b'"attempt":2,"zone":"eu"').replace(
        b'"specversion"', b'"traceparent":"00-1-1-01","specversion"'
    )
    assert decode(newer).fact() == decode(WIRE).fact()


def test_M17_a_field_that_an_older_one_lacks_has_its_default() -> None:
    older = WIRE.replace(b'"attempt":2,', b"")
    assert decode(older).fact() == JobStarted(job=JobId("j1"), attempt=1, address="http://h:1")


def test_a_fact_of_an_unknown_type_is_none() -> None:
    assert msgspec.structs.replace(EVENT, type="slipway.job.cloned.v1").fact() is None


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", WIRE[:-1], WIRE.replace(b'"1.0"', b'"2.0"')]
)
def test_what_is_no_event_of_ours_raises(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(body)


def test_every_fact_names_its_subject() -> None:
    for kind in FACTS.values():
        assert kind.subject is not Fact.subject


def test_facts_about_a_job_carry_the_attempt_they_speak_of() -> None:
    assert JobQueued(job=JobId("j1")).attempt == 1
    jobs = [kind for name, kind in FACTS.items() if name.startswith("slipway.job.")]
    assert all(issubclass(kind, JobFact) for kind in jobs)
