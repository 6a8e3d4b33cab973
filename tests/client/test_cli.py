"""The command line as people and scripts see it: output, errors, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import slipway
from slipway import AsyncClient
from slipway.cli import main
from slipway.cli.output import ago, cell, plain
from tests.client.conftest import ROUTE, Platform
from tests.client.fake import Fake
from tests.client.real import free_port


class Ran(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Coroutine[Any, Any, Ran]]


@pytest.fixture
def run(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs one command line in a thread of its own, as a process would have its own loop."""
    monkeypatch.setenv("SLIPWAY_URL", platform.url)
    monkeypatch.setenv("SLIPWAY_TOKEN", platform.token)
    monkeypatch.setenv("SLIPWAY_PROJECT", platform.project)
    return runner(capsys)


@pytest.fixture
def lone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The same where nothing is configured."""
    for name in ("SLIPWAY_URL", "SLIPWAY_TOKEN", "SLIPWAY_PROJECT", "SLIPWAY_HOME"):
        monkeypatch.delenv(name, raising=False)
    return runner(capsys)


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    async def run(*argv: object) -> Ran:
        capsys.readouterr()
        code = await asyncio.to_thread(main, [str(arg) for arg in argv])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    return run


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


async def deployed(run: Run, code: Path, *more: str) -> Any:
    return (await run("deploy", code, "--json", *more)).json


async def test_deploy_prints_the_urls_and_where_to_look(run: Run, code: Path) -> None:
    ran = await run("deploy", code, "--deployment", "iris", "--version", "v1", "--env", "A=b=c")
    assert ran.code == 0
    assert ran.out.startswith("predict  http://127.0.0.1:1/")
    assert ran.out.endswith("/default/iris/v1/predict\n")
    assert "slipway version iris v1" in ran.err


async def test_deploy_as_json_prints_the_version_and_nothing_else(run: Run, code: Path) -> None:
    ran = await run("deploy", code, "--json")
    assert (ran.json["state"], ran.json["deployment"], ran.err) == ("building", "iris-model", "")


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_deploy_with_an_alias_waits_for_all_of_it(run: Run, fake: Fake, code: Path) -> None:
    going = asyncio.create_task(run("deploy", code, "--alias", "production", "--version", "v1"))
    await until(lambda: bool(fake.versions))
    await fake.print("v0", "collecting \x1b[31mflask\x1b[0m")
    await fake.queue("v0", "all GPUs are held")
    (job,) = fake.jobs.values()
    seen = len(fake.requests)
    await until(lambda: any(job["id"] in r.path for r in fake.requests[seen:]))
    await fake.run("v0")
    ran = await going
    assert ran.code == 0
    assert "  collecting flask\n" in ran.err
    assert "is queued: all GPUs are held" in ran.err
    assert "alias production → v1" in ran.err
    assert ran.out == "predict  http://127.0.0.1:1/admin/default/iris-model/v1/predict\n"


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_a_failed_build_exits_with_1_and_the_lines_that_matter(
    run: Run, fake: Fake, code: Path
) -> None:
    going = asyncio.create_task(run("deploy", code, "--wait"))
    await until(lambda: bool(fake.versions))
    await fake.print("v0", "collecting flaks", "ERROR: no such package: flaks")
    await fake.fail("v0", "no such package: flaks")
    ran = await going
    assert (ran.code, ran.out) == (1, "")
    assert "  ERROR: no such package: flaks\n" in ran.err
    assert "error: the build of iris-model/20261121.0 failed: no such package: flaks" in ran.err
    assert "slipway build-log iris-model" in ran.err


async def test_an_endpoint_is_created_reviewed_and_shown(
    run: Run, code: Path, tmp_path: Path
) -> None:
    routes = tmp_path / "endpoint.json"
    routes.write_text(json.dumps({"routes": [ROUTE]}))
    reviewed = await run(
        "endpoint", "create", "churn", "--path", code, "--file", routes, "--review"
    )
    assert (reviewed.code, reviewed.out.startswith("This job will start")) == (0, True)
    made = await run("endpoint", "create", "churn", "--path", code, "--route", json.dumps(ROUTE))
    assert made.code == 0
    assert "name     churn\n" in made.out
    again = await run("job", "churn", "--json")
    assert again.json["name"] == "churn"
    refused = await run("endpoint", "create", "x", "--path", code, "--start-command", "x", "--gpu-type", "cpu", "--gpu-count", "5", "--review")  # fmt: skip
    assert refused.code == 1
    assert "resources.gpu_count: " in refused.out


async def test_git_sources_are_refused_in_words(run: Run) -> None:
    ran = await run(
        "endpoint", "create", "x", "--git", "https://host/x.git", "--start-command", "x"
    )
    assert ran.code == 2
    assert ran.err.startswith("error: git sources are not supported by this release\n")


async def test_jobs_are_plain_columns_in_a_pipe(run: Run, code: Path) -> None:
    nothing = await run("jobs")
    assert nothing.out.split() == ["ID", "NAME", "STATE", "FOR", "GPUS", "REASON"]
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
    assert (await run("why", job)).out.splitlines()[1].startswith("somebody stopped it")
    assert (await run("restart", job, "--json")).json["state"] == "queued"
    going = asyncio.create_task(run("terminate", job, "--force", "--json"))
    async with asyncio.timeout(30):
        while (await _state(platform, job)) != "stopping":
            await asyncio.sleep(0.01)
    await platform.stopped(job)
    assert (await going).json["state"] == "terminated"


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
    assert ran.out.splitlines()[1:] == [
        "its server can never start",
        "  one",
        "  ImportError: no module named torch",
    ]
    assert (await run("why", job, "--json")).json["state"] == "failed"


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


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_ctrl_c_leaves_a_word_how_to_go_on(run: Run, fake: Fake, code: Path) -> None:
    version = await deployed(run, code)
    job = version["jobs"]["predict"]
    await fake.print(job, "one")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "slipway", "logs", job, "-f"),
        env={**os.environ, "PYTHONPATH": str(Path(slipway.__file__).parents[1])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"one\n"
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (
        130,
        f"\ninterrupted. go on with `slipway logs {job} -f`\n",
    )


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


async def echo(request: web.Request) -> web.Response:
    if request.content_type == "multipart/form-data":
        parts = await request.post()
        told = {
            name: part.file.read().decode() if isinstance(part, web.FileField) else part
            for name, part in parts.items()
        }
        return web.json_response({"form": told})
    if request.path.endswith("/text"):
        return web.Response(text="plain words", status=503)
    if request.path.endswith("/bytes"):
        return web.Response(body=b"\x00\xff", content_type="application/octet-stream")
    text = await request.text()
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "body": text,
            "token": request.headers.get("Authorization"),
        }
    )


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_an_endpoint_is_tried_through_the_router(
    run: Run, fake: Fake, code: Path, tmp_path: Path
) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    async with TestServer(app) as router:
        fake.router = str(router.make_url("")).rstrip("/")
        await deployed(run, code, "--version", "v1")
        await fake.run("v0")
        await run("alias", "set", "iris-model", "production", "v1")
        await run("endpoint", "create", "churn", "--path", code, "--route", json.dumps(ROUTE))
        (churn,) = (job for job in fake.jobs.values() if job["name"] == "churn")
        await fake.run(churn["version"])
        picture = tmp_path / "cat.jpg"
        picture.write_text("meow")

        plain_get = await run("test", "iris-model/v1/predict", "--query", "top=3")
        assert plain_get.err.startswith("200 OK  ")
        said = json.loads(plain_get.out)
        assert said["path"] == "/admin/default/iris-model/v1/predict?top=3"
        assert said["token"] is None  # ours stays here
        by_alias = await run("test", "iris-model/production/predict", "--json", "--path", "/x")
        assert by_alias.json["body"]["path"] == "/admin/default/iris-model/production/predict/x"
        form = await run(
            "test", "iris-model/v1/predict", "--file", f"image={picture}", "--field", "top=3"
        )
        assert json.loads(form.out) == {"form": {"image": "meow", "top": "3"}}
        typed = await run("test", "churn", "--field", "x=1", "--field", "label=1", "--json")
        assert typed.json["body"]["path"] == f"/endpoints/{churn['id']}/predict"
        assert json.loads(typed.json["body"]["body"]) == {"x": 1, "label": "1"}
        assert (await run("test", "churn", "--field", "x=one")).code == 2
        text = await run("test", "iris-model/v1/predict", "--path", "/text")
        assert (text.code, text.out) == (1, "plain words")
        raw = await run("test", "iris-model/v1/predict", "--path", "/bytes", "--json")
        assert raw.json["body"] == {"base64": "AP8="}
        missing = await run("test", "iris-model/v1/other")
        assert (missing.code, "it has: predict" in missing.err) == (1, True)
        no_file = await run("test", "iris-model/v1/predict", "--file", "image=nothing.jpg")
        assert (no_file.code, "cannot read nothing.jpg" in no_file.err) == (2, True)
    gone = await run("test", "iris-model/v1/predict")
    assert (gone.code, "is the router up?" in gone.err) == (1, True)


async def test_what_is_unknown_exits_with_1_and_one_line(run: Run) -> None:
    for argv in (
        ["job", "nothing"],
        ["stop", "nothing"],
        ["logs", "nothing"],
        ["versions", "nothing"],
        ["version", "nothing", "v1"],
        ["alias", "set", "nothing", "production", "v1"],
        ["test", "nothing/v1/predict"],
    ):
        ran = await run(*argv)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("error: ")
        assert len(ran.err.splitlines()) <= 2


async def test_errors_are_problems_with_json(run: Run) -> None:
    ran = await run("--json", "job", "nothing")
    told = json.loads(ran.err)
    assert (ran.code, told["type"]) == (1, "urn:slipway:problem:not-found")


async def test_nobody_listening_says_what_to_do(lone: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("SLIPWAY_TOKEN", "t")
    ran = await lone("jobs")
    assert ran.code == 1
    assert ran.err.startswith("error: cannot reach the platform at http://127.0.0.1:")
    assert "`make up`" in ran.err


async def test_nothing_configured_says_what_to_do(
    lone: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = await lone("jobs")
    assert (ran.code, "found no platform" in ran.err, "make up" in ran.err) == (2, True, True)
    told = await lone("jobs", "--json")
    assert json.loads(told.err)["type"] == "urn:slipway:problem:unconfigured"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["deploy"], "required: PATH"),
        (["deploy", "x", "--file", "model=x"], "is not ENDPOINT.FILE=PATH"),
        (["deploy", "x", "--env", "x"], "is not KEY=VALUE"),
        (["deploy", "x", "--concurrency", "0"], "not a whole number above 0"),
        (["deploy", "x", "--timeout", "soon"], "not a whole number above 0"),
        (["endpoint"], "required: COMMAND"),
        (["endpoint", "create", "x"], "one of the arguments"),
        (["endpoint", "create", "x", "--path", "."], "one of the arguments"),
        (["endpoint", "create", "x", "--path", ".", "--route", "{"], "not JSON"),
        (
            ["endpoint", "create", "x", "--path", ".", "--start-command", "x", "--gpu-count", "-1"],
            "not a whole number",
        ),
        (["jobs", "--limit", "²"], "not a whole number"),
        (["job"], "required: JOB"),
        (["test", "x", "--body", "nope"], "not JSON"),
        (["token", "create", "--role", "king"], "invalid choice: 'king'"),
        (["jobs", "--nonsense"], "unrecognized arguments"),
    ],
)
async def test_a_wrong_command_line_exits_with_2(lone: Run, argv: list[str], said: str) -> None:
    ran = await lone(*argv)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "--help" in ran.err
    told = await lone(*argv, "--json")
    assert json.loads(told.err)["type"] == "urn:slipway:problem:bad-usage"


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_a_source_that_can_not_be_packed_exits_with_2(
    run: Run, tmp_path: Path, code: Path
) -> None:
    assert "No such file" in (await run("deploy", tmp_path / "nothing")).err
    (code / "link").symlink_to("/etc/passwd")
    ran = await run("deploy", code)
    assert (ran.code, "the link link leaves the folder" in ran.err) == (2, True)
    assert (await run("deploy", code, "--yaml", tmp_path / "nothing.yaml")).code == 2


@pytest.mark.parametrize("command", ["deploy", "jobs", "test", "alias", "endpoint", "token"])
def test_help_is_printed_and_is_a_success(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert "usage: slipway " + command in capsys.readouterr().out


def test_text_of_strangers_can_not_steer_the_terminal() -> None:
    assert plain("\x1b[31mred\x1b[0m \x1b]0;title\x07\ta\rb\x9b2J\x00") == "red \tab2J"


def test_values_are_shown_for_people() -> None:
    assert [cell(v) for v in (None, True, 1.5, ["a", 1], {"a": 1})] == [
        "",
        "yes",
        "1.5",
        "a, 1",
        "a=1",
    ]


def test_ages_are_rough() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ages = [ago(now - timedelta(seconds=s), now) for s in (-5, 59, 60, 7200, 200_000)]
    assert ages == ["0 s", "59 s", "1 min", "2 h", "2 d"]
