"""`slipway run`, `series` and `outputs` against the real API; the test plays the scheduler."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

import pytest

from shared.blobs import Blobs
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.events import JobFailed, JobFinished, JobPlaced
from shared.ids import JobId
from slipway import AsyncClient
from slipway.errors import Slow
from tests.client.harness import Run, deployed
from tests.client.real import Real


@pytest.fixture
def platform(real: Real) -> Real:
    return real


async def place(database: Database, job: str) -> PostgresJobs:
    jobs = PostgresJobs(database)
    assert await jobs.place(JobPlaced(job=JobId(job)))
    return jobs


async def finish(database: Database, folder: Path, job: str, **files: str) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    kept = await Blobs.open(f"file:{folder}").put_bytes(made.getvalue())
    assert await (await place(database, job)).advance(JobFinished(job=JobId(job)))
    await database.execute(
        "UPDATE jobs SET outputs = $2, outputs_size = $3, exit_code = 0 WHERE id = $1",
        job, kept.digest, kept.size,
    )  # fmt: skip


async def test_a_run_is_waited_for_and_its_outputs_unpacked(
    run: Run, code: Path, platform: Real, database: Database, tmp_path: Path
) -> None:
    version = await deployed(run, code, "--version", "v1")
    await platform.build(version["id"])
    going = asyncio.create_task(
        run("run", "iris-model", "--env", "A=b", "--wait", "--json", "--", "python", "a b.py")
    )
    async with asyncio.timeout(30):
        while not (jobs := (await _jobs(platform))) or jobs[0].kind != "batch":
            await asyncio.sleep(0.01)
    job = jobs[0]
    assert job.name.startswith("iris-model/v1/s")
    await finish(database, tmp_path / "blobs", job.id, model="weights")
    ran = await going
    assert (ran.code, ran.json["counts"]) == (0, {"finished": 1})
    assert ran.json["command"] == ["python 'a b.py'"]
    into = tmp_path / "results"
    assert (await run("outputs", job.id, "-o", into)).out.split() == [str(into / "model")]
    assert (into / "model").read_text() == "weights"
    packed = tmp_path / "packed.tar"
    assert (await run("outputs", job.id, "--tar", packed)).code == 0
    with tarfile.open(packed) as tar:
        assert tar.getnames() == ["model"]
    assert "bytes; `slipway outputs" in (await run("job", job.id)).out
    assert (await run("jobs")).out.splitlines()[1].split()[3] == "batch"


async def _jobs(platform: Real):
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        return await client.jobs(limit=1)


async def test_an_array_in_the_image_of_an_endpoint_fails_if_one_fails(
    run: Run, code: Path, platform: Real, database: Database, tmp_path: Path
) -> None:
    version = await deployed(run, code, "--version", "v1")
    await platform.build(version["id"])
    made = await run("run", "iris-model/v1/predict", "--array", "2", "--json", "--", "exit $A")
    first, second = made.json["jobs"]
    await finish(database, tmp_path / "blobs", first["id"])
    jobs = await place(database, second["id"])
    await jobs.advance(JobFailed(job=second["id"], reason="ended with exit code 3"))
    series = made.json["id"]
    shown = await run("series", "show", series)
    assert f"{second['id']}  failed  ended with exit code 3" in shown.out
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        seen = []
        ended = await client.wait_for_series(series, watch=lambda now: seen.append(now.counts))
        assert not ended.finished
        assert seen == [{"finished": 1, "failed": 1}]
    removed = await run("series", "terminate", series, "--json")
    assert removed.json["counts"] == {"terminated": 2}


async def test_a_series_is_stopped_and_a_wait_has_an_end(
    run: Run, code: Path, platform: Real
) -> None:
    version = await deployed(run, code, "--version", "v1")
    await platform.build(version["id"])
    job = version["jobs"]["predict"]
    made = await run("run", job, "--timeout", "60", "--retries", "1", "--json", "--", "true")
    assert made.json["counts"] == {"queued": 1}
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        with pytest.raises(Slow):
            await client.wait_for_series(made.json["id"], timeout=0.01)
    stopped = await run("series", "stop", made.json["id"], "--json")
    assert stopped.json["counts"] == {"stopping": 1}


async def test_what_is_not_there_or_makes_no_sense_is_said(run: Run, code: Path) -> None:
    nothing = await run("run", "nobody", "--", "true")
    assert nothing.code == 1
    assert "no deployment, version or job is called nobody" in nothing.err
    both = await run("run", "nobody", "-f", "--array", "2", "--", "true")
    assert (both.code, "an array has many logs" in both.err) == (2, True)
    await deployed(run, code, "--version", "v1")
    wrong = await run("run", "iris-model/v1/none", "--", "true")
    assert "must be one of predict" in wrong.err
