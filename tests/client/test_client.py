"""The same questions for the fake platform and for the real API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from slipway import AsyncClient, Failed, SlipwayError, source
from slipway.deploy import Step
from slipway.errors import Ambiguous, BadSource, NotFound, Slow
from slipway.types import Job, Version
from tests.client.conftest import ROUTE, Platform


async def test_it_says_who_we_are(client: AsyncClient, platform: Platform) -> None:
    me = await client.whoami()
    assert me.owner == platform.project.split("/")[0]
    assert me.router_url == "http://127.0.0.1:1"


async def test_a_folder_becomes_a_version_that_is_building(client: AsyncClient, code: Path) -> None:
    version = await client.deploy(code)
    assert (version.deployment, version.state) == ("iris-model", "building")
    assert list(version.urls) == list(version.jobs) == ["predict"]
    assert [e.entry.kind for e in version.endpoints] == ["wsgi"]
    assert [d.name for d in await client.deployments()] == ["iris-model"]
    assert [v.name for v in await client.versions("iris-model")] == [version.name]


async def test_the_same_folder_is_uploaded_once(client: AsyncClient, code: Path) -> None:
    steps: list[Step] = []
    first = await client.deploy(code, watch=steps.append)
    second = await client.deploy(code, watch=steps.append)
    assert first.source == second.source
    assert first.name != second.name


async def test_deploying_waits_and_then_moves_the_alias(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    steps: list[Step] = []

    async def play() -> None:
        async with asyncio.timeout(30):
            while not (made := [step.version for step in steps if step.version]):
                await asyncio.sleep(0.01)
            await platform.print(made[0].id, "collecting flask")
            await platform.queue(made[0].id, "all GPUs are held")
            while not [step for step in steps if step.job]:
                await asyncio.sleep(0.01)
            await platform.run(made[0].id)

    playing = asyncio.create_task(play())
    version = await client.deploy(code, version="v1", alias="production", watch=steps.append)
    await playing
    assert version.state == "ready"
    assert version.notes == ["the host's Python runs the code"]
    assert "collecting flask" in [step.line.text for step in steps if step.line]
    told = [(step.job.state, step.job.reason) for step in steps if step.job]
    assert told[0] == ("queued", "all GPUs are held")
    assert told[-1] == ("running", "")
    alias = await client.alias("iris-model", "production")
    assert (alias.version, [move.version for move in alias.history]) == ("v1", ["v1"])
    assert (await client.version("iris-model", "production")).name == "v1"
    assert [job.url for job in await client.running(version)] == list(version.urls.values())


async def test_a_failed_build_is_an_error_with_its_reason(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    version = await client.deploy(code)
    await platform.fail(version.id, "no such package: flaks")
    with pytest.raises(Failed, match="no such package: flaks") as told:
        await client.wait_for_version(version)
    assert "slipway build-log iris-model" in told.value.hint


async def test_waiting_for_what_takes_too_long_is_an_error(client: AsyncClient, code: Path) -> None:
    version = await client.deploy(code)
    with pytest.raises(Slow, match=r"within 0\.1 s"):
        await client.wait_for_version(version, timeout=0.1)
    (job,) = version.jobs.values()
    with pytest.raises(Slow, match=r"was not running within 0\.1 s"):
        await client.wait_for_job(job, timeout=0.1)


async def test_a_job_goes_through_its_life(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    version = await client.deploy(code)
    (job,) = version.jobs.values()
    await platform.run(version.id)
    assert (await client.wait_for_job(job)).url == version.urls["predict"]
    assert (await client.connection(job)).url == version.urls["predict"]
    assert (await client.stop(job)).state == "stopping"
    await platform.stopped(job)
    seen: list[Job] = []
    stopped = await client.wait_for_job(job, "stopped", watch=seen.append)
    assert [found.state for found in seen] == ["stopped"]
    assert stopped.url is None
    with pytest.raises(Failed, match="is stopped"):
        await client.wait_for_job(job, "running")
    assert (await client.restart(job)).state == "queued"
    await client.stop(job)
    await platform.stopped(job)
    assert (await client.terminate(job)).state == "terminated"
    with pytest.raises(SlipwayError, match="The job is terminated") as told:
        await client.restart(job)
    assert (told.value.status, told.value.problem.name) == (409, "job-state")


async def test_an_alias_moves_and_rolls_back(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    one = await client.deploy(code, version="v1")
    two = await client.deploy(code, version="v2")
    with pytest.raises(SlipwayError, match="does not run"):
        await client.set_alias("iris-model", "production", "v1")
    await platform.run(one.id)
    await platform.run(two.id)
    await client.set_alias("iris-model", "production", "v1")
    moved = await client.set_alias("iris-model", "production", "v2")
    assert (moved.version, moved.revision) == ("v2", 2)
    assert (await client.rollback_alias("iris-model", "production")).version == "v1"
    assert [alias.name for alias in await client.aliases("iris-model")] == ["production"]
    with pytest.raises(SlipwayError) as told:
        await client.set_alias("iris-model", "production", "v9")
    assert [wrong.field for wrong in told.value.errors] == ["version"]


async def test_logs_come_newest_first_and_are_followed_to_their_end(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    version = await client.deploy(code)
    (job,) = version.jobs.values()
    await platform.print(job, *(f"line {n}" for n in range(1, 251)))
    assert [line.text for line in await client.logs(job, limit=2)] == ["line 250", "line 249"]
    assert len(await client.logs(job)) == 250
    await platform.fail(version.id, "over")
    followed = [line.text async for line in client.follow_logs(job)]
    assert followed == [f"line {n}" for n in range(1, 251)]


async def test_a_build_log_is_followed_to_its_end(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    version = await client.deploy(code, version="v1")
    await platform.print(version.id, "one", "two")
    await platform.build(version.id)
    assert [line.text for line in await client.build_log("iris-model", "v1")] == ["two", "one"]
    followed = [line.text async for line in client.follow_build_log("iris-model", "v1")]
    assert followed == ["one", "two"]


async def test_an_endpoint_of_its_own_is_submitted_with_its_routes(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    job = await client.create_endpoint(
        "churn", code, routes=[ROUTE], environment={"LEVEL": "debug"}, concurrency=2
    )
    assert (job.name, job.deployment, job.gpu_count) == ("churn", None, 0)
    await platform.run(job.version)
    connection = await client.connection(job.id)
    assert connection.url.endswith(f"/endpoints/{job.id}")
    assert [p.type for p in connection.routes[0].body] == ["float", "str"]


async def test_an_endpoint_without_routes_is_refused_with_the_field(
    client: AsyncClient, code: Path
) -> None:
    with pytest.raises(SlipwayError) as told:
        await client.create_endpoint("churn", code)
    assert told.value.status == 422
    assert told.value.errors[0].field.startswith("endpoint")


async def test_a_review_changes_nothing(client: AsyncClient, code: Path) -> None:
    fine = await client.review_endpoint("churn", code, routes=[ROUTE])
    assert (fine.ok, fine.would_queue, fine.errors) == (True, False, [])
    bad = await client.review_endpoint("churn", code, routes=[ROUTE], gpu_type="cpu", gpu_count=5)
    assert (bad.ok, [wrong.field for wrong in bad.errors]) == (False, ["resources.gpu_count"])
    assert await client.jobs() == []


async def test_a_job_is_found_by_id_name_or_beginning(client: AsyncClient, code: Path) -> None:
    job = await client.create_endpoint("churn", code, routes=[ROUTE])
    await client.create_endpoint("other", code, routes=[ROUTE])
    for called in (job.id, "churn", job.id[:-1]):
        assert (await client.find_job(called)).id == job.id
    with pytest.raises(Ambiguous, match="2 jobs"):
        await client.find_job("j")
    with pytest.raises(NotFound):
        await client.find_job("nothing")
    assert [job.name for job in await client.jobs(name="churn")] == ["churn"]
    assert len(await client.jobs(limit=1)) == 1


async def test_tokens_and_projects_are_made_listed_and_revoked(client: AsyncClient) -> None:
    made = await client.create_token(role="read", note="dashboard")
    assert made.token.startswith("slp_")
    assert made.id in [token.id for token in await client.tokens()]
    await client.revoke_token(made.id)
    revoked = {token.id: token.revoked_at for token in await client.tokens()}
    assert revoked[made.id] is not None
    project = await client.create_project("vision")
    assert project.path in [found.path for found in await client.projects()]
    assert await client.deployments(project=project.path) == []


async def test_what_is_unknown_is_a_problem(client: AsyncClient) -> None:
    for asking in (
        client.job("jnothing00000"),
        client.deployment("nothing"),
        client.version("nothing", "v1"),
        client.deployments(project="nobody/nothing"),
    ):
        with pytest.raises(SlipwayError) as told:
            await asking
        assert told.value.status == 404


async def test_a_wrong_token_is_a_problem_with_a_hint(platform: Platform) -> None:
    async with AsyncClient(platform.url, "slp_wrong", platform.project) as client:
        with pytest.raises(SlipwayError) as told:
            await client.whoami()
    assert told.value.status == 401
    assert "SLIPWAY_TOKEN" in told.value.hint


async def test_the_only_project_is_meant_when_none_is_named(platform: Platform, code: Path) -> None:
    async with AsyncClient(platform.url, platform.token) as client:
        assert (await client.deploy(code)).owner == platform.project.split("/")[0]
        await client.create_project("second")
    async with AsyncClient(platform.url, platform.token) as client:
        with pytest.raises(SlipwayError, match="no project was named"):
            await client.deployments()


async def test_a_file_given_for_an_endpoint_must_be_a_file(client: AsyncClient, code: Path) -> None:
    with pytest.raises(BadSource, match="is a folder"):
        await client.deploy(code, files={"predict": {"model": code}})
    with pytest.raises(BadSource, match="No such file"):
        await client.deploy(code, files={"predict": {"model": code / "model.pkl"}})
    assert await client.deployments() == []


async def test_a_version_is_deployed_from_an_archive_too(
    client: AsyncClient, code: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "iris.tar.gz"
    with archive.open("wb") as file:
        packed = source.pack(code, file)
    version: Version = await client.deploy(archive)
    assert (version.deployment, version.source) == ("iris", packed.digest)
