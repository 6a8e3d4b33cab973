"""The commands that look after jobs, versions, aliases, accounts and events."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from slipway import AsyncClient
from tests.client.conftest import Platform
from tests.client.fake import Fake
from tests.client.harness import Run, deployed


async def test_jobs_are_plain_columns_in_a_pipe(run: Run, code: Path) -> None:
    nothing = await run("jobs")
    assert nothing.out.split() == ["ID", "NAME", "STATE", "KIND", "FOR", "GPUS", "REASON"]
    assert "slipway deploy PATH" in nothing.err
    version = await deployed(run, code, "--version", "v1")
    ran = await run("jobs")
    head, line = ran.out.splitlines()
    assert head.split()[:3] == ["ID", "NAME", "STATE"]
    assert line.split()[:2] == [version["jobs"]["predict"], "iris-model/v1/predict"]
    assert "\x1b" not in ran.out
    assert [job["name"] for job in (await run("jobs", "--json")).json] == ["iris-model/v1/predict"]
    assert (await run("jobs", "--state", "running", "--json")).json == []


async def test_a_job_is_stopped_restarted_and_terminated(
    run: Run, platform: Platform, code: Path
) -> None:
    version = await deployed(run, code)
    job = version["jobs"]["predict"]
    await platform.run(version["id"])
    assert (await run("connect", job, "--json")).json["url"] == version["urls"]["predict"]
    assert (await run("restart", job)).code == 1
    assert (await run("stop", job, "--json")).json["state"] == "stopping"
    await platform.stopped(job)
    assert "stopped" in (await run("why", job)).out.splitlines()[1]
    assert (await run("restart", job, "--json")).json["state"] == "queued"
    going = asyncio.create_task(run("terminate", job, "--force", "--json"))
    async with asyncio.timeout(30):
        while (await _state(platform, job)) != "stopping":
            await asyncio.sleep(0.01)
    await platform.stopped(job)
    assert (await going).json["state"] == "terminated"


async def test_a_job_that_has_finished_is_not_stopped_before_it_is_terminated(
    run: Run, platform: Platform, code: Path
) -> None:
    job = (await deployed(run, code))["jobs"]["predict"]
    await platform.finished(job)
    assert (await run("terminate", job, "--force", "--json")).json["state"] == "terminated"


async def test_what_is_said_about_a_jobs_image_is_printed(
    run: Run, platform: Platform, code: Path
) -> None:
    version = await deployed(run, code)
    job = version["jobs"]["predict"]
    early = await run("sbom", job)
    assert (early.code, "The job has no image yet" in early.err) == (1, True)
    await platform.build(version["id"])
    await platform.say(version["id"], "application/vnd.cyclonedx+json", b'{"components":[]}')
    assert (await run("sbom", job)).json == {"components": []}
    statement = b'{"_type":"https://in-toto.io/Statement/v1"}'
    await platform.say(version["id"], "application/vnd.in-toto+json", statement)
    assert (await run("provenance", job)).json == json.loads(statement)


async def test_signed_provenance_is_printed_and_its_envelope_with_json(
    run: Run, platform: Platform, code: Path
) -> None:
    version = await deployed(run, code)
    job = version["jobs"]["predict"]
    await platform.build(version["id"])
    envelope = {"payload": "eyJhIjoxfQ==", "payloadType": "x", "signatures": []}
    kind = "application/vnd.in-toto.provenance+dsse"
    await platform.say(version["id"], kind, json.dumps(envelope).encode())
    assert (await run("provenance", job)).json == {"a": 1}
    assert (await run("provenance", job, "--json")).json == envelope


async def test_a_build_is_cancelled(run: Run, platform: Platform, code: Path) -> None:
    version = await deployed(run, code, "--version", "v1")
    for _ in range(2):
        ended = (await run("cancel", "iris-model", "v1", "--json")).json
        assert (ended["state"], ended["reason"]) == ("failed", "cancelled")
    assert await _state(platform, version["jobs"]["predict"]) == "failed"


async def test_what_is_ready_has_no_build_to_cancel(
    run: Run, platform: Platform, code: Path
) -> None:
    await platform.run((await deployed(run, code, "--version", "v1"))["id"])
    ran = await run("cancel", "iris-model", "v1")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: The version is ready")


async def _state(platform: Platform, job: str) -> str:
    async with AsyncClient(platform.url, platform.token) as client:
        return (await client.job(job)).state


async def test_why_shows_the_reason_and_the_last_lines(
    run: Run, platform: Platform, code: Path
) -> None:
    version = await deployed(run, code)
    job = version["jobs"]["predict"]
    await platform.print(job, "one", "ImportError: no module named torch")
    await platform.fail(version["id"], "its server can never start")
    ran = await run("why", job)
    _, headline, *_, first, last = ran.out.splitlines()
    assert headline.endswith("its server can never start")
    assert (first, last) == ("  one", "  ImportError: no module named torch")
    assert (await run("why", job, "--json")).json["state"] == "failed"


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_why_shows_what_a_server_that_does_not_answer_says(
    run: Run, fake: Fake, code: Path
) -> None:
    version = await deployed(run, code)
    job = version["jobs"]["predict"]
    fake.jobs[job]["state"] = "starting"
    await fake.print(job, "listening on port 9999")
    assert (await run("why", job)).out.splitlines()[1:] == [
        "it is starting",
        "  listening on port 9999",
    ]


async def test_logs_are_oldest_first_and_may_be_followed(
    run: Run, platform: Platform, code: Path
) -> None:
    version = await deployed(run, code, "--version", "v1")
    job = version["jobs"]["predict"]
    assert "nothing was printed" in (await run("logs", job)).err
    await platform.print(job, "one", "\x1b]0;evil\x07two")
    assert (await run("logs", job)).out == "one\ntwo\n"
    assert (await run("logs", job, "-n", "1")).out == "two\n"
    await platform.print(version["id"], "built")
    await platform.fail(version["id"], "x")
    assert (await run("logs", job, "-f")).out == "one\ntwo\n"
    assert (await run("build-log", "iris-model", "v1", "-f")).out == "built\n"
    lines = (await run("build-log", "iris-model", "v1", "--json")).out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["built"]


async def test_the_build_of_an_endpoint_of_its_own_is_shown_by_its_job(
    run: Run, platform: Platform, code: Path
) -> None:
    ask = ("endpoint", "create", "web", "--path", code, "--start-command", "./serve")
    made = (await run(*ask, "--json")).json
    assert f"`slipway build-log {made['id']}` shows its build" in (await run("logs", "web")).err
    await platform.print(made["version"], "installing figlet")
    await platform.fail(made["version"], "no such package")
    for more in ((), ("-f",)):
        assert (await run("build-log", "web", *more)).out == "installing figlet\n"


async def test_versions_and_aliases_are_shown_and_moved(
    run: Run, platform: Platform, code: Path
) -> None:
    one = await deployed(run, code, "--version", "v1")
    two = await deployed(run, code, "--version", "v2")
    refused = await run("alias", "set", "iris-model", "production", "v1")
    assert (refused.code, "error: The version does not run" in refused.err) == (1, True)
    await platform.run(one["id"])
    await platform.run(two["id"])
    await run("alias", "set", "iris-model", "production", "v1")
    moved = await run("alias", "set", "iris-model", "production", "v2")
    assert "before       v1\n" in moved.out
    assert "/iris-model/production/predict\n" in moved.out
    back = await run("alias", "rollback", "iris-model", "production", "--json")
    assert back.json["version"] == "v1"
    listed = await run("alias", "list", "iris-model")
    assert listed.out.splitlines()[1].split()[:2] == ["production", "v1"]
    versions = await run("versions", "iris-model")
    assert [line.split()[0] for line in versions.out.splitlines()] == ["NAME", "v2", "v1"]
    shown = await run("version", "iris-model", "production")
    assert "state          ready\n" in shown.out
    assert (await run("deployments")).out.splitlines()[1].split()[:2] == ["iris-model", "process"]


async def test_accounts_are_shown_and_made(run: Run, platform: Platform) -> None:
    assert f"project  {platform.project}\n" in (await run("whoami")).out
    made = await run("token", "create", "--role", "read", "--note", "x", "--json")
    assert made.json["token"].startswith("slp_")
    assert made.json["id"] in (await run("token", "list")).out
    revoked = await run("token", "revoke", made.json["id"])
    assert revoked.out == f"revoked {made.json['id']}\n"
    created = await run("project", "create", "vision")
    assert created.code == 0
    assert "/vision" in (await run("project", "list")).out
    twice = await run("project", "create", "vision")
    assert (twice.code, twice.err) == (1, "error: The owner has a project of that name\n")


async def test_gpus_are_listed(run: Run) -> None:
    assert (await run("gpus")).out.split()[:3] == ["TYPE", "TOTAL", "FREE"]


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_events_are_shown_with_the_cursor_to_go_on_from(run: Run, fake: Fake) -> None:
    fake.happened("job.queued", "j1")
    fake.happened("job.started", "j2")
    ran = await run("events")
    assert [line.split()[2:4] for line in ran.out.splitlines()] == [
        ["job.queued", "j1"],
        ["job.started", "j2"],
    ]
    assert "go on with --after 2" in ran.err
    later = await run("events", "--after", "1", "--json")
    assert [json.loads(line)["subject"] for line in later.out.splitlines()] == ["j2"]


@pytest.mark.parametrize("platform", ["real"], indirect=True)
async def test_real_events_are_shown_from_a_cursor(run: Run, code: Path) -> None:
    await deployed(run, code)
    async with asyncio.timeout(30):  # the relay numbers them
        while "version.submitted" not in (ran := await run("events")).out:
            await asyncio.sleep(0.05)
    cursor = ran.err.split()[-1]
    assert (await run("events", "--after", cursor)).out == ""
