"""Running seeds in a process of their own, as `python -m tests.simulation` does for a person."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
EACH: Final = 250  # seeds of one test
SEEDS: Final = 2_000  # in all, from test_seeds_one.py and test_seeds_two.py
RACES: Final = 40  # stops between a job's place and its start, at least; about 90 are usual
FIRSTS: Final = range(1, SEEDS + 1, EACH)


def simulated(server: str, *arguments: object, within: float = 600.0) -> tuple[int, str]:
    """Exit code, and what it said."""
    command = [sys.executable, "-m", "tests.simulation", "--server", server]
    done = subprocess.run(
        [*command, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=within
    )
    return done.returncode, done.stdout + done.stderr


def hold(server: str, first: int) -> None:
    """All of them, and they tried what they are to try: stops that meet a job as it starts."""
    code, said = simulated(server, first, first + EACH - 1)
    assert (code, f"{EACH} seeds" in said) == (0, True), said
    raced = re.search(r"(\d+) stops raced a start", said)
    assert raced is not None, said
    assert int(raced[1]) >= RACES, said
