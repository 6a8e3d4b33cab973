"""The benchmarks of the API beside a deep queue measure what they say, on a small scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scheduler import api, doors, listing, submissions


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doors, "OWNERS", 3)
    for name, value in (("ARRAY", 5), ("ARRAYS", 2), ("WARM", 3)):
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
    assert len(told.endpoints.latencies) == len(told.commands.latencies) == 12
    assert told.kept == 2 * (12 + submissions.WARM) + submissions.ARRAYS * submissions.ARRAY
    assert told.processor > 0
