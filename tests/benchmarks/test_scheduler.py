"""The scheduler's benchmarks measure what they say, on a small scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.scheduler import kueue, measure
from benchmarks.scheduler.admitting import Told
from benchmarks.table import missed

ENOUGH = Told(
    seconds=60.0,
    admitted=30_000,
    first=10.0,
    looks=[0.1] * 100,
    decisions=[0.05] * 100,
    memory=500_000_000,
    processor=30.0,
)
REPLAYED = kueue.Outcome(
    jobs=15_000, makespan=85.8, bound=66.0, wall=351.0, decisions=[0.01] * 100, preempted=1
)


def test_the_bound_of_kueues_baseline_is_that_of_its_work() -> None:
    assert kueue.bound() == 66.0
    assert len(kueue.jobs()) == 15_000


def test_a_replay_ends_every_job_within_a_third_of_the_bound() -> None:
    done = kueue.replay(share=0.1)
    assert done.jobs == 1_500
    assert done.bound <= done.makespan <= 1.3 * done.bound
    assert done.preempted > 0


async def test_admissions_go_on_as_gpus_come_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("OWNERS", 20), ("GPUS", 16), ("RUNS", 0.2)):
        monkeypatch.setattr(measure, name, value)
    tmp_path.chmod(0o711)
    told = await measure.admissions(tmp_path, 3.0, 400)
    assert told.admitted > 16
    assert told.memory > 0
    assert told.first > 0
    assert len(told.decisions) == len(told.looks) > 1


def test_S13_what_was_asked_of_a_deep_queue_is_met_by_just_that_much() -> None:
    figures = [*measure.admitted(ENOUGH, 100_000), *measure.replayed(REPLAYED, 1.0)]
    assert [figure.limit.asked for figure in figures if figure.limit] == [
        "at least 500/s",
        "at most 50 ms",
        "at most 10 s",
        "at most 500 MB",
        "at most 1.3 of the anchor",
        "at most 351 s",
    ]
    assert missed(figures) == []


@pytest.mark.parametrize(
    ("less", "what"),
    [
        ({"admitted": 29_999}, ["admissions"]),
        ({"decisions": [0.05] * 90 + [0.06] * 10}, ["a decision"]),
        ({"first": 10.1}, ["begun anew"]),
        ({"admitted": 0, "first": 0.0}, ["admissions", "begun anew"]),
        ({"memory": 500_000_001}, ["memory"]),
    ],
)
def test_S13_less_than_was_asked_of_a_deep_queue_is_told(
    less: dict[str, Any], what: list[str]
) -> None:
    told = missed(measure.admitted(msgspec.structs.replace(ENOUGH, **less), 100_000))
    assert len(told) == len(what)
    assert all(figure.what.startswith(each) for figure, each in zip(told, what, strict=True))


def test_a_replay_that_takes_too_long_is_told() -> None:
    for longer in ({"makespan": 86.0}, {"wall": 351.5}):
        told = measure.replayed(msgspec.structs.replace(REPLAYED, **longer), 1.0)
        assert len(missed(told)) == 1
