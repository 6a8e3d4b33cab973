"""`make drill`, in short: promises are kept under kills, and a planted mistake is told."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.acceptance.platform import ROOT


def drill(*arguments: str, of: str = "benchmarks.drill") -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", of, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_promise_is_kept_while_each_part_is_killed_twice():
    code, said = drill("--kills", "12", "--seed", "11")
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


def test_S01_S12_five_schedulers_share_sixteen_gpus_under_kills_and_pauses(tmp_path):
    """Every job has its place at least once and is stopped soon, most of them between their place
    and their start. These are four hundred jobs, for the processor's sake: `make drill-scheduler`
    has a thousand, a hundred thousand allocations and ten thousand such stops."""
    sizes = ("--schedulers", "5", "--gpus", "16", "--jobs", "400", "--largest", "2")
    least = ("--allocations", "400", "--races", "100", "--within", "400")
    told = ("--seed", "21", "--between", "60", "--record", str(tmp_path / "record.json"))
    code, said = drill(*sizes, *least, *told, of="benchmarks.drill.scheduler")
    assert (code, "every rule held" in said) == (0, True), said
    kept = json.loads((tmp_path / "record.json").read_bytes())
    assert (kept["overlaps"], kept["leaks"], kept["wrong"]) == (0, 0, [])
    assert (kept["jobs"], kept["placed"]) == (400, 400)
    assert kept["races"] >= 100
    assert kept["kills"] + kept["pauses"] > 0


@pytest.mark.parametrize(
    ("fault", "told"),
    [("index-dropped", "was reached by"), ("released-before-gone", "did not hold it")],
)
def test_a_fault_planted_in_the_schedulers_is_caught(fault, told):
    sizes = (
        "--jobs",
        "60",
        "--gpus",
        "16",
        "--allocations",
        "60",
        "--races",
        "0",
        "--within",
        "120",
        "--patience",
        "10",
        "--between",
        "20",
    )
    code, said = drill(*sizes, "--plant", fault, of="benchmarks.drill.scheduler")
    assert (code, told in said) == (1, True), said
