"""A seed runs the same way each time, and a simulation catches each mistake that it is shown."""

from __future__ import annotations

import re

import pytest

from tests.simulation.plants import PLANTS
from tests.simulation.seeds import simulated

TOLD = {
    "acknowledged-before-commit": "was accepted and is not there",
    "attempt-unguarded": "during attempt",
    "epoch-ignored": "which was over",
    "index-dropped": "was given to",
    "never-released": "is still held by",
    "released-before-gone": "did not hold it",
    "told-again": "a second look wrote",
    "unknown-ignored": "was reached by",
}


def traced(server: str, *seeds: int) -> str:
    return simulated(server, *seeds, "--trace")[1]


def test_a_seed_has_the_same_trace_alone_and_after_others(postgres_url):
    alone = traced(postgres_url, 7)
    digest = re.search(r"^trace \w+$", alone, re.M)
    assert digest is not None, alone
    assert len(alone.splitlines()) > 200
    among = traced(postgres_url, 1, 12)
    assert digest.group() in among
    assert len(set(re.findall(r"^trace (\w+)$", among, re.M))) == 12


def test_all_that_can_go_wrong_goes_wrong_in_some_seed(postgres_url):
    trace = traced(postgres_url, 1, 20)
    acts = ("Kill(", "Pause(", "Vanish(", "GpuGone(", "Jump(", "Tell(", "Order(", "Restore(")
    assert [
        what for what in (*acts, "... is lost", "... is not answered") if what not in trace
    ] == []


def test_a_broken_seed_says_how_it_is_run_again_and_breaks_again(postgres_url):
    code, said = simulated(postgres_url, 1, 9, "--first-only", "--plant", "released-before-gone")
    seed = re.search(r"^seed (\d+) \(replay: python -m tests.simulation \1 --trace\)$", said, re.M)
    assert (code, seed is not None) == (1, True), said
    again = simulated(postgres_url, seed[1], "--plant", "released-before-gone")[1]
    assert _wrong(again) == _wrong(said)


def test_the_mistakes_that_cost_most_are_among_those_that_are_planted():
    assert {"index-dropped", "epoch-ignored", "acknowledged-before-commit"} <= PLANTS.keys()
    assert TOLD.keys() == PLANTS.keys()


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_mistake_is_caught(postgres_url, plant):
    code, said = simulated(postgres_url, 1, 100, "--first-only", "--plant", plant)
    assert (code, TOLD[plant] in said) == (1, True), said


def _wrong(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("  ✗")]
