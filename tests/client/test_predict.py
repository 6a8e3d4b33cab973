"""Asking applications and servables: `slipway test` and `predict`, through a gateway."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from slipway import AsyncClient, Client, SlipwayError, Unreachable
from slipway.errors import BadUsage
from slipway.example import FILE, curl, python
from slipway.gateway import encode
from tests.client.fake import Fake
from tests.client.harness import Run
from tests.client.test_cli_models import RESOURCES

INFORMATION = "Multiple validation errors:\nx is of type string"


@pytest.fixture
def platform(fake: Fake) -> Fake:
    return fake


async def gateway(request: web.Request) -> web.Response:
    """Doubles x, and refuses what is no number."""
    assert request.headers.get("Authorization") is None
    if request.headers["Content-Type"] != "application/json":
        return web.json_response({"error": "BadRequest", "information": "not JSON"}, status=400)
    try:
        x = (await request.json())["x"]
    except KeyError:
        told = {"error": "BadRequest", "information": "Missing 'x' field"}
        return web.json_response(told, status=400)
    if isinstance(x, str):
        told = {"error": "ContractViolationError", "information": INFORMATION}
        return web.json_response(told, status=400)
    if x == -1:
        return web.Response(text="<html>", status=502)
    return web.json_response({"y": x, "path": request.path})


@pytest.fixture
async def router(fake: Fake) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/gateway/{path:.*}", gateway)
    async with TestServer(app) as server:
        fake.router = str(server.make_url("")).rstrip("/")
        yield fake.router


@pytest.fixture
async def doubled(run: Run, router: str, tmp_path: Path) -> str:
    """The address of an application."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/func_main.py").write_text("")
    (tmp_path / "all.yaml").write_text(RESOURCES)
    assert (await run("apply", "-f", tmp_path, "--no-wait")).code == 0
    return f"{router}/gateway/application/doubled"


async def test_an_application_is_asked_with_inputs_made_for_it(run: Run, doubled: str) -> None:
    ran = await run("test", "doubled")
    assert ran.code == 0
    assert json.loads(ran.out) == {"y": 1, "path": "/gateway/application/doubled"}
    assert ran.err.startswith("200  ")
    assert f"curl {doubled} -H 'Content-Type: application/json' -d '{{\"x\":1}}'\n" in ran.err
    assert "import json, urllib.request\n" in ran.err
    whole = (await run("test", "doubled", "--json")).json
    assert (whole["status"], whole["inputs"], whole["body"]["y"]) == (200, {"x": 1}, 1)
    assert (await run("test", "doubled", "--sample")).json == {"x": 1}


async def test_the_lines_that_are_shown_do_the_same(run: Run, doubled: str) -> None:
    shown = (await run("test", "doubled", "--data", '{"x": [true, null, "it\'s"]}', "--json")).json
    for command in (["sh", "-c", shown["curl"] + " -s"], [sys.executable, "-c", shown["python"]]):
        ran = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=True
        )
        answered = ran.stdout.replace("True", "true").replace("None", "null").replace("'y'", '"y"')
        assert '"y": [true, null, "it\'s"]' in answered


async def test_inputs_come_from_the_command_line_a_file_or_standard_input(
    run: Run, doubled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.json").write_text('{"x": 3}')
    assert (await run("test", "doubled", "--data", '{"x": 2}', "--json")).json["body"]["y"] == 2
    at = await run("test", "doubled", "--data", f"@{tmp_path}/x.json", "--json")
    assert at.json["body"]["y"] == 3
    with (tmp_path / "x.json").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert (await run("test", "doubled", "--data", "-", "--json")).json["body"]["y"] == 3
    assert (await run("test", "doubled", "--data", "{x}")).code == 2
    assert (await run("test", "doubled", "--data", "@nothing")).code == 2


async def test_a_refusal_is_told_as_the_gateway_tells_it(run: Run, doubled: str) -> None:
    ran = await run("test", "doubled", "--data", '{"x": "a"}')
    assert (ran.code, ran.out) == (1, "")
    assert f"error: ContractViolationError: {INFORMATION}\n" in ran.err
    assert f"curl {doubled}" in ran.err
    told = await run("test", "doubled", "--data", "{}", "--json")
    assert (told.code, told.json["status"]) == (1, 400)
    assert told.json["body"] == {"error": "BadRequest", "information": "Missing 'x' field"}
    broken = await run("test", "doubled", "--data", '{"x": -1}')
    assert (broken.code, "error: the gateway answered 502" in broken.err) == (1, True)


async def test_an_application_takes_no_form(run: Run, doubled: str) -> None:
    ran = await run("test", "doubled", "--field", "x=1")
    assert (ran.code, "doubled takes --data, and no --field" in ran.err) == (2, True)


async def test_a_servable_is_asked_by_its_name(run: Run, doubled: str) -> None:
    made = (await run("servable", "create", "double:1", "--json")).json["name"]
    ran = await run("test", made, "--json")
    assert ran.json["body"] == {"y": 2, "path": f"/gateway/servable/{made}"}


async def test_what_is_no_application_has_no_sample(run: Run, doubled: str) -> None:
    ran = await run("test", "iris/v1/predict", "--sample")
    assert (ran.code, "is no application" in ran.err) == (2, True)
    ran = await run("test", "nothing")
    assert (ran.code, "no job is called nothing" in ran.err) == (1, True)


async def test_python_asks_with_arrays_and_gets_lists(fake: Fake, router: str) -> None:
    async with AsyncClient(fake.url, fake.token, fake.project) as client:
        inputs = {"x": np.array([[1.5, 2.0]], dtype="float32"), "flag": np.bool_(True)}
        assert (await client.predict("doubled", inputs))["y"] == [[1.5, 2.0]]
        asked = await client.predict("s", {"x": 1}, servable=True)
        assert asked["path"] == "/gateway/servable/s"
        with pytest.raises(SlipwayError) as caught:
            await client.predict("doubled", {"x": "a"})
        problem = caught.value.problem
        assert (problem.title, problem.status) == ("ContractViolationError", 400)
        assert (problem.name, problem.detail) == ("ContractViolationError", INFORMATION)
        for bad in (float("nan"), object(), b"\xff"):
            with pytest.raises(BadUsage, match="can't be sent as JSON"):
                await client.predict("doubled", {"x": bad})

    def synchronously() -> Any:
        with Client(fake.url, fake.token, fake.project) as client:
            return client.predict("doubled", {"x": 4})["y"]

    assert await asyncio.to_thread(synchronously) == 4


async def test_no_gateway_is_an_error(fake: Fake) -> None:
    async with AsyncClient(fake.url, fake.token, fake.project) as client:
        with pytest.raises(Unreachable, match="no answer from"):
            await client.predict("doubled", {})


def test_what_is_long_goes_in_a_file() -> None:
    inputs = {"x": [0.0] * 10_000}
    body = encode(inputs).decode()
    assert curl("http://x/y", body).endswith(f"-d @{FILE}")
    assert f'open("{FILE}", "rb")' in python("http://x/y", inputs, body)
