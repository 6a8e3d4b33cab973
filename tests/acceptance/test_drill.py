"""`make drill`, in short: promises are kept under kills, and a planted mistake is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.acceptance.platform import ROOT


def drill(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.drill", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_promise_is_kept_while_each_part_is_killed_twice():
    code, said = drill("--kills", "10", "--seed", "11")
    assert (code, "every promise was kept" in said) == (0, True), said


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("give-twice", "COLLISION"),
        ("mark-before-announcing", "never reached the subscriber"),
    ],
)
def test_a_planted_fault_is_caught(fault, told):
    """A mistake shows when its moment comes, so a short drill may be lucky, but not three."""
    heard = []
    for seed in ("12", "13", "14"):
        _, said = drill("--kills", "4", "--seed", seed, "--patience", "20", "--plant", fault)
        assert "Traceback" not in said, said
        heard.append(said)
        if "broken promises" in said and told in said:
            return
    raise AssertionError("\n".join(heard))
