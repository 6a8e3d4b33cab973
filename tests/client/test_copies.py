"""Several copies of a job, from the command line and from Python."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from slipway import AsyncClient
from slipway.cli.jobs import purged
from slipway.cli.values import autoscaling_of
from slipway.errors import BadUsage, SlipwayError
from slipway.types import Job
from tests.client.conftest import ROUTE, Platform
from tests.client.harness import Run, deployed


async def test_a_version_is_deployed_with_copies_and_scaled(
    run: Run, platform: Platform, code: Path
) -> None:
    version = await deployed(run, code, "--target", "far", "--replicas", "2", "--replicas", "*=3")
    job = version["jobs"]["predict"]
    assert (await run("job", job, "--json")).json["copies"] == 3
    await platform.run(version["id"])
    assert "1 of 3 run" in (await run("job", job)).out
    assert (await run("scale", job, "2", "--json")).json["copies"] == 2
    waiting = asyncio.create_task(run("scale", job, "4", "--wait", "--json"))
    async with asyncio.timeout(30):
        while (await run("job", job, "--json")).json["copies"] != 4:
            await asyncio.sleep(0.01)
    await platform.copies(job, 4)
    ran = await waiting
    assert (ran.code, ran.json["copies_running"]) == (0, 4)
    assert (await run("scale", job, "4", "--wait")).code == 0


async def test_replicas_of_an_endpoint_win_over_those_of_all(
    run: Run, platform: Platform, code: Path
) -> None:
    version = await deployed(
        run, code, "--target", "far", "--replicas", "2", "--replicas=predict=5"
    )
    assert (await run("job", version["jobs"]["predict"], "--json")).json["copies"] == 5


async def test_one_machine_runs_one_copy(run: Run, platform: Platform, code: Path) -> None:
    version = await deployed(run, code)
    ran = await run("scale", version["jobs"]["predict"], "2")
    assert (ran.code, "runs one copy" in ran.err) == (1, True)
    await platform.fail(version["id"], "no")
    ran = await run("scale", version["jobs"]["predict"], "1")
    assert (ran.code, "The job is failed" in ran.err) == (1, True)


@pytest.mark.parametrize("given", ["0", "-1", "x", "1.5", ""])
async def test_copies_are_a_number(run: Run, given: str) -> None:
    assert (await run("scale", "churn", given)).code == 2


@pytest.mark.parametrize("given", ["=2", "predict=", "predict=0", "predict"])
async def test_replicas_are_a_number_for_an_endpoint_or_for_all(
    run: Run, code: Path, given: str
) -> None:
    assert (await run("deploy", str(code), f"--replicas={given}")).code == 2


async def test_an_endpoint_has_as_many_copies_as_there_is_work_for(
    run: Run, platform: Platform, code: Path
) -> None:
    scaled = "--autoscale", "2-5,requests=8,down-after=60"
    version = await deployed(run, code, "--target", "far", *scaled)
    assert (await run("job", version["jobs"]["predict"], "--json")).json["copies"] == 2
    create = ("endpoint", "create", "a", "--path", str(code), "--start-command", "serve")
    ran = await run(*create, "--target", "far", "--autoscale", "3-5,waiting=4", "--json")
    assert (ran.code, ran.json["copies"]) == (0, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("1-5", ("*", {"min": 1, "max": 5})),
        ("predict=1-5", ("predict", {"min": 1, "max": 5})),
        ("1-5,requests=8", ("*", {"min": 1, "max": 5, "requests": 8})),
        (
            "a=2-3,cpu=50,down-after=0",
            ("a", {"min": 2, "max": 3, "cpu_percent": 50, "down_after": 0}),
        ),
    ],
)
def test_autoscaling_is_written_in_a_line(given: str, said: object) -> None:
    assert autoscaling_of(given) == said


@pytest.mark.parametrize("given", ["", "5", "0-5", "1-", "1-5,speed=1", "1-5,requests=x", "=1-5"])
async def test_autoscaling_that_is_none_is_refused(run: Run, code: Path, given: str) -> None:
    assert (await run("deploy", str(code), f"--autoscale={given}")).code == 2


def test_a_job_that_rests_shows_when_it_will_be_purged() -> None:
    job = Job(
        id="j1",
        owner="ann",
        project="shop",
        name="churn",
        state="stopped",
        version="v1",
        created_at=datetime.now(UTC),
        changed_at=datetime.now(UTC),
        purge_at=datetime.now(UTC) + timedelta(days=2.9),
    )
    assert purged(job).startswith("in 3 days, 20")
    assert purged(job).endswith("UTC, unless you restart it")
    finished = msgspec.structs.replace(job, state="finished", purge_at=datetime.now(UTC))
    assert purged(finished).startswith("today, ")
    assert purged(finished).endswith("unless you download what it made")
    assert purged(msgspec.structs.replace(job, purge_at=None)) == ""


async def test_a_deployment_stays_on_its_target(run: Run, platform: Platform, code: Path) -> None:
    await deployed(run, code)
    ran = await run("deploy", str(code), "--target", "far")
    assert (ran.code, "is on the target process, not on far" in ran.err) == (2, True)


async def test_an_endpoint_has_copies_and_a_target(platform: Platform, code: Path) -> None:
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        job = await client.create_endpoint("a", code, routes=[ROUTE], replicas=3, target="far")
        assert (job.target, job.copies) == ("far", 3)
        assert (await client.scale(job.id, 1)).copies == 1
        with pytest.raises(SlipwayError) as caught:
            await client.create_endpoint("b", code, routes=[ROUTE], replicas=2)
        assert caught.value.status == 422
        await client.ensure_deployment("d")
        with pytest.raises(BadUsage):
            await client.ensure_deployment("d", target="far")
        assert [target.name for target in await client.targets()] == ["process", "far"]


async def test_targets_are_listed(run: Run) -> None:
    ran = await run("targets")
    assert ran.out.split()[:3] == ["TARGET", "KIND", "GPUS"]
    assert "far" in ran.out
