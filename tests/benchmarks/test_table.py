"""The table of a benchmark says what was asked for, and a run in which that is missed fails."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import __main__ as bench
from benchmarks.table import Figure, Limit, at_least, at_most, missed, show

FREE = Figure(what="free", ours="1 s", anchor="2 s", ratio=2.0, note="of another")
MET = Figure(what="quick", ours="600/s", limit=at_least(600, 500, "/s"), note="")
MISSED = Figure(what="slow", ours="51 ms", limit=at_most(51, 50, " ms"), note="")


def test_a_limit_is_met_by_what_is_just_as_much() -> None:
    assert at_least(1_000, 1_000, "/s") == Limit("at least 1,000/s", True)
    assert at_most(1.3, 1.3, " of it") == Limit("at most 1.3 of it", True)
    assert not at_least(999.9, 1_000).met
    assert not at_most(float("inf"), 10.0).met


def test_the_table_says_what_was_asked_for_and_whether_it_is_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show([FREE, MET, MISSED])
    said = capsys.readouterr().out
    assert "at least 500/s: met" in said
    assert "at most 50 ms: MISSED" in said
    assert said.splitlines()[-1] == "missed: slow: 51 ms, and at most 50 ms was asked for"
    assert missed([FREE, MET]) == []


@pytest.mark.parametrize(("figures", "code"), [([FREE, MET], 0), ([FREE, MET, MISSED], 1)])
def test_a_run_in_which_a_limit_is_missed_fails(
    monkeypatch: pytest.MonkeyPatch, figures: list[Figure], code: int
) -> None:
    async def measured(asked: argparse.Namespace) -> list[Figure]:
        assert asked.parts == ["scheduler"]
        return figures

    monkeypatch.setattr(bench, "bench", measured)
    assert bench.main(["scheduler"]) == code
