"""The commands of the queue, against the real API: what is said to it, asked of it and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.database.pool import Database
from slipway import AsyncClient
from tests.client.conftest import ROUTE
from tests.client.harness import Run, deployed
from tests.client.real import Real

GPU = "INSERT INTO gpus (id, target, type, device) VALUES ($1, 'process', 't4', $1)"
HOLD = "INSERT INTO allocations (gpu, job, attempt) VALUES ('g0', $1, 1)"
WAITS = """
UPDATE jobs
   SET state = 'queued', queued_at = now(), gpu_count = 2, gpu_types = '{t4}',
       reason = 'waits for 2 t4; 1 of 2 is free; 1 job ahead',
       waits = jsonb_build_object('cause', 'gpus', 'wants', 2, 'types', '{t4}'::text[],
                                  'free', '{"t4": 1}'::jsonb, 'there', '{"t4": 2}'::jsonb,
                                  'ahead', 1, 'first', ARRAY[$2::text], 'starts_in', 300)
 WHERE id = $1
"""


@pytest.fixture
def platform(real: Real) -> Real:
    """The real one alone: a fake of it would be as much again."""
    return real


async def test_what_is_said_to_the_queue_is_shown_with_the_job(run: Run, code: Path) -> None:
    version = await deployed(
        run,
        code,
        *("--priority", "low", "--preemptible", "--gang"),
        *("--start-within", "10m", "--run-at-most", "2h"),
    )
    shown = await run("job", version["jobs"]["predict"])
    assert "low priority, preemptible, gang, runs 7200 s at most" in shown.out
    assert "start by" in shown.out
    job = (await run("job", version["jobs"]["predict"], "--json")).json
    assert (job["priority"], job["run_at_most"]) == ("low", 7200.0)


async def test_an_endpoint_of_its_own_says_it_the_same_way(run: Run, code: Path) -> None:
    create = ("endpoint", "create", "web", "--path", code, "--start-command", "./serve", "--json")
    job = (await run(*create, "--priority", "high", "--start-within", "1d")).json
    assert (job["priority"], job["start_by"] is not None) == ("high", True)


async def test_python_says_it_too(platform: Real, code: Path) -> None:
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        said = {"priority": "low", "run_at_most": 60}
        job = await client.create_endpoint("a", code, routes=[ROUTE], scheduling=said)
        assert (job.priority, job.run_at_most) == ("low", 60.0)
        version = await client.deploy(code, scheduling={"*": {"preemptible": True}})
        assert (await client.job(version.jobs["predict"])).preemptible


@pytest.mark.parametrize(
    "words",
    [("--priority", "urgent"), ("--start-within", "soon"), ("--run-at-most=-1s",)],
)
async def test_what_makes_no_sense_is_not_sent(run: Run, code: Path, words: tuple[str]) -> None:
    assert (await run("deploy", code, *words)).code == 2


async def test_why_shows_who_comes_first_when_and_what_would_help(
    run: Run, database: Database, code: Path
) -> None:
    jobs = [
        (await deployed(run, code, "--version", name))["jobs"]["predict"] for name in ("a", "b")
    ]
    for gpu in ("g0", "g1"):
        await database.execute(GPU, gpu)
    await database.execute(HOLD, jobs[0])
    await database.execute(WAITS, jobs[1], jobs[0])
    async with database.connection() as connection:  # as if a scheduler acted for the target
        lock = "SELECT pg_advisory_lock(hashtextextended('slipway scheduler process', 0))"
        await connection.execute(lock)
        ran = await run("why", jobs[1])
        told = (await run("why", jobs[1], "--json")).json
        await connection.execute("SELECT pg_advisory_unlock_all()")
    state, headline, *rows = ran.out.splitlines()
    assert state.startswith("iris-model/b/predict is queued, for ")
    assert headline == "It waits for 2 t4: 1 of 2 t4 is free; 1 job comes first."
    assert [row.split()[0] for row in rows] == ["ahead", "first", "starts", "sooner"]
    assert f"iris-model/a/predict ({jobs[0]}), 0 GPUs" in rows[1]
    assert rows[2].endswith("in 5 min at the latest")
    assert rows[3].endswith("stop iris-model/a/predict of the same owner's, which holds 1 t4")
    assert (told["cause"], told["short"]["free"]) == ("gpus", {"t4": 1})
    shown = (await run("queue")).out
    assert "process: 1 of 2 t4 free" in shown
    assert "2 x t4" in shown
    assert (await run("queue", "process", "--json")).json["first"][0]["job"] == jobs[1]


async def test_an_empty_queue_says_so(run: Run) -> None:
    assert "nobody waits for GPUs" in (await run("queue")).out
    assert (await run("queue", "moon")).code == 1


async def test_quotas_are_set_listed_and_removed(run: Run) -> None:
    assert "no quotas" in (await run("quota", "list")).err
    made = await run("quota", "set", "local", "process", "*", "--nominal", 4, "--json")
    assert (made.json["nominal"], made.json["borrow"]) == (4, None)
    more = ("--nominal", "2", "--borrow", "0", "--cohort", "vision")
    assert "vision" in (await run("quota", "set", "local", "process", "t4", *more)).out
    rows = (await run("quota", "list", "--owner", "local")).out.splitlines()
    assert [row.split()[2:5] for row in rows[1:]] == [["*", "4", "any"], ["t4", "2", "0"]]
    assert "no quota of t4" in (await run("quota", "rm", "local", "process", "t4")).out
    assert (await run("quota", "rm", "local", "process", "t4")).code == 1
    assert (await run("quota", "set", "local", "process", "t4")).code == 2


async def test_allowances_are_set_and_shown(run: Run) -> None:
    assert (await run("allowance", "show", "--json")).json["highest"] == "normal"
    await run("allowance", "set", "local", "--weight", "2.5", "--highest", "high")
    assert "2.5" in (await run("allowance", "show", "local")).out
    assert (await run("allowance", "set", "local", "--weight", "0")).code == 2
