"""The drill of `make drill-kubernetes`, short; and that it would tell of mistakes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from shared.database.pool import Database
from tests.scheduler.kubernetes.misbehave import trial

SHORT = 20.0  # seconds
SHORTER = 8.0
OFTEN = 0.25  # from one fault to the next, where a mistake has to show in so short a time


async def test_what_runs_is_as_told_after_an_api_server_misbehaved(
    tmp_path: Path, database: Database
) -> None:
    async with trial(tmp_path, database) as run:
        outcome = await run.run(SHORT, seed=20, patience=60)
    assert outcome.wrong == []
    assert sum(outcome.faults.values()) >= SHORT / 2


@pytest.mark.parametrize("mistake", ["believe-absence", "overlook-hands", "list-at-once"])
async def test_a_mistake_of_the_driver_is_told_of(mistake: str) -> None:
    # a process of its own, since mistakes are not undone
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.drill.kubernetes"),
        *("--seconds", str(SHORTER), "--every", str(OFTEN), "--seed", "20", "--patience", "5"),
        *("--plant", mistake),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 1, said.decode()
    assert b"wrong" in said
