"""Which job is meant by what was typed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from slipway.calls.jobs import choose
from slipway.errors import Ambiguous, NotFound
from slipway.types import Job

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def job(id: str, name: str, state: str) -> Job:
    made = {"created_at": NOW, "changed_at": NOW}
    return Job(
        id=id, owner="local", project="default", name=name, state=state, version="v1", **made
    )


def test_a_job_that_gave_its_name_back_gives_way() -> None:
    for state in ("running", "stopped", "failed"):
        jobs = [job("j1", "guess", "terminated"), job("j2", "guess", state)]
        assert choose("guess", jobs).id == "j2"


def test_one_that_is_gone_is_still_found_by_its_name() -> None:
    assert choose("guess", [job("j1", "guess", "terminated")]).id == "j1"


def test_the_beginning_of_an_id_is_enough_when_it_is_one() -> None:
    jobs = [job("j12", "a", "running"), job("j13", "b", "running")]
    assert choose("j12", jobs).name == "a"
    with pytest.raises(Ambiguous):
        choose("j1", jobs)
    with pytest.raises(NotFound):
        choose("", jobs)
