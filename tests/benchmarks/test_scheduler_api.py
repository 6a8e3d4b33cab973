"""The benchmarks of the API beside a deep queue measure what they say, on a small scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.hammer import Run
from benchmarks.scheduler import api, doors, listing, submissions
from benchmarks.table import missed


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doors, "OWNERS", 3)
    for name, value in (("ARRAY", 5), ("ARRAYS", 2), ("WARM", 3), ("PARTS", 3)):
        monkeypatch.setattr(submissions, name, value)
    monkeypatch.setattr(listing, "PAGES", 3)
    monkeypatch.setattr(listing, "LIMIT", 10)
    tmp_path.chmod(0o711)


async def test_every_submission_and_every_page_is_measured(tmp_path: Path) -> None:
    figures = await api.measure(tmp_path, 2, 12, 90)
    assert [figure.what for figure in figures if "submissions" in figure.what] == [
        "durable submissions of endpoints, jobs",
        "durable submissions of commands, jobs",
        "durable submissions of arrays, jobs",
    ]
    assert sum("a page of 10" in figure.what for figure in figures) == 10


async def test_what_was_answered_is_in_the_tables(tmp_path: Path) -> None:
    told = await submissions.submit(tmp_path, 2, 12)
    assert len(told.endpoints.latencies) == len(told.commands.latencies) == 12 // 3
    assert told.kept == 2 * (12 + submissions.WARM) + submissions.ARRAYS * submissions.ARRAY
    assert told.processor > 0


def test_submissions_that_are_too_few_or_too_slow_are_told() -> None:
    def told(run: Run, jobs: int = 1) -> list[str]:
        return [figure.ours for figure in missed(api.submitted("jobs", run, jobs, ""))]

    assert told(Run(1.0, [0.05] * 1_000)) == []
    assert told(Run(1.0, [0.05] * 999)) == ["999/s"]
    assert told(Run(1.0, [0.04] * 980 + [0.06] * 20)) == ["40 and 60 ms"]
    assert told(Run(1.0, [0.2] * 4), jobs=250) == []
    assert told(Run(1.0, [0.2] * 3), jobs=250) == ["750/s"]


def test_one_page_that_is_too_slow_is_told() -> None:
    assert missed([api.page("all", 1_000_000, [0.01, 0.05])]) == []
    assert len(missed([api.page("all", 1_000_000, [0.01, 0.051])])) == 1
