"""The scheduler's benchmarks measure what they say, on a small scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scheduler import kueue, measure


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
