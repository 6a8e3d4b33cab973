"""What goes wrong on the command line: two lines, the right exit code, never a traceback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

import slipway
from slipway.cli import main
from tests.client.fake import Fake
from tests.client.harness import Run, deployed
from tests.ports import free_port


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


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_ctrl_c_while_it_is_built_says_how_to_end_the_build(
    run: Run, fake: Fake, code: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "slipway", "deploy", str(code), "--version", "v1", "--wait"),
        env={**os.environ, "PYTHONPATH": str(Path(slipway.__file__).parents[1])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while not (await process.stderr.readline()).startswith(b"version "):
        assert not process.stderr.at_eof()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert b"`slipway cancel iris-model v1` puts an end to it" in err


async def test_what_is_unknown_exits_with_1_and_one_line(run: Run) -> None:
    for argv in (
        ["job", "nothing"],
        ["stop", "nothing"],
        ["logs", "nothing"],
        ["versions", "nothing"],
        ["version", "nothing", "v1"],
        ["cancel", "nothing", "v1"],
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
        (["deploy"], "one of the arguments PATH --git"),
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
