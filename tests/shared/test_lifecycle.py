"""The lifecycle table is whole, has no way out of what is over, and is the one in the docs."""

from __future__ import annotations

import pytest

from services.api.formats.proximl import STATUS
from shared.events import (
    FACTS,
    GpuFact,
    JobFact,
    JobMoved,
    JobRepaired,
    JobScaled,
    JobSubmitted,
    JobWarned,
    VersionFact,
)
from shared.lifecycle import HOLDING, LIVE, MOVES, OVER, State, diagram
from tests.docs.commands import table


def reachable(start: State) -> set[State]:
    seen, todo = set(), [start]
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo += [move.to for move in MOVES.values() if state in move.sources]
    return seen


STILL = {JobMoved, JobScaled, JobRepaired, JobWarned}
"""They speak of what becomes of a job wherever it is in its life."""


def test_every_fact_about_a_job_but_the_first_moves_it() -> None:
    facts = {kind for kind in FACTS.values() if issubclass(kind, JobFact)}
    assert facts == {*MOVES, *STILL, JobSubmitted}
    assert STILL.isdisjoint(MOVES)
    assert not any(issubclass(kind, GpuFact | VersionFact) for kind in MOVES)


def test_every_state_can_be_reached() -> None:
    assert reachable(State.SUBMITTED) == set(State)


def test_nothing_leaves_a_state_that_is_over() -> None:
    assert all(move.sources.isdisjoint(OVER) for move in MOVES.values())


def test_everything_that_is_not_over_can_end() -> None:
    for state in set(State) - set(OVER):
        assert reachable(state) & set(OVER), state


def test_a_failed_job_can_only_be_terminated() -> None:
    assert {move.to for move in MOVES.values() if State.FAILED in move.sources} == {
        State.TERMINATED
    }


def test_only_a_new_attempt_enters_the_queue_a_second_time() -> None:
    for fact, move in MOVES.items():
        if move.to is State.QUEUED and move.sources & {*HOLDING, State.STOPPED}:
            assert move.next_attempt, fact


def test_live_and_over_do_not_overlap() -> None:
    assert set(LIVE).isdisjoint(OVER)


def page(request: pytest.FixtureRequest) -> str:
    return (request.config.rootpath / "docs/lifecycle.md").read_text()


def test_the_picture_in_the_docs_is_the_table(request: pytest.FixtureRequest) -> None:
    assert diagram() in page(request)


def test_the_moves_in_the_docs_are_the_table(request: pytest.FixtureRequest) -> None:
    rows = table(page(request), "fact", "from", "to", "what moves it")
    assert [row[:3] for row in rows] == [
        [f"`{fact.__name__}`", ", ".join(each for each in State if each in move.sources), move.to]
        for fact, move in MOVES.items()
    ]


def test_each_state_is_in_the_docs_with_the_word_of_proximl(request: pytest.FixtureRequest) -> None:
    rows = table(page(request), "state", "proxiML says", "what it is")
    assert [row[:2] for row in rows] == [[f"`{state}`", STATUS[state]] for state in State]
