"""`make up`: starting, ending, and starting again where it was."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from services.scheduler.drivers.process import alive
from slipway import AsyncClient
from tests.acceptance.platform import ROOT, Platform, embedded
from tests.ports import free_ports
from tests.scheduler.targets import leftovers

ROUTES = [{"path": "/pid", "verb": "POST", "file": "predict", "function": "pid", "body": []}]
CODE = "import uuid\nME = str(uuid.uuid4())\ndef pid(): return ME\n"


async def start_and_end(**settings: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services",
        cwd=ROOT,
        env={**os.environ, **settings},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "predict.py").write_text(CODE)
    return folder


async def endpoint(platform: Platform, code) -> str:
    async with AsyncClient(platform.api_url, platform.token, "local/default") as slipway:
        job = await slipway.create_endpoint("e", code, routes=ROUTES, gpu_type="cpu")
        return (await slipway.wait_for_job(job.id, timeout=60)).id


async def asked(platform: Platform, job: str) -> str:
    """Which life of the server answers."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{platform.router_url}/endpoints/{job}/pid", json={}) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return str(await answer.json())


async def running(platform: Platform, job: str) -> None:
    async with AsyncClient(platform.api_url, platform.token, "local/default") as slipway:
        await slipway.wait_for_job(job, timeout=60)


def cut_off(home: Path) -> bool:
    """Kill all that runs there. True while there was any of it."""
    found = set(leftovers(home))
    for folder in (home / "replicas").iterdir():
        found |= {process for process in (alive.supervisor(folder), alive.init(folder)) if process}
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    strays = [alive.kill_strays(folder) for folder in (home / "replicas").iterdir()]
    return bool(found) or any(strays)


async def loaded(platform: Platform, job: str, attempts: int) -> list[int]:
    """The attempts in which a server has loaded its code, once for each time; as soon as there
    are so many."""
    async with (
        asyncio.timeout(60),
        AsyncClient(platform.api_url, platform.token, "local/default") as slipway,
    ):
        while True:
            lines = await slipway.logs(job)
            found = sorted(line.attempt for line in lines if line.text == "loaded")
            if len(found) >= attempts:
                return found
            await asyncio.sleep(0.1)


async def test_a_killed_platform_finds_its_replicas_alive_and_adopts_them(tmp_path, code):
    async with embedded(tmp_path / "home") as platform:
        job = await endpoint(platform, code)
        before = await asked(platform, job)
        await platform.kill("platform")
        await platform.start("platform")
        await platform.until_ready()
        await running(platform, job)
        assert await asked(platform, job) == before


async def test_ctrl_c_ends_everything_and_the_next_start_goes_on(tmp_path, code):
    async with embedded(tmp_path / "home") as platform:
        job = await endpoint(platform, code)
        before = await asked(platform, job)
        platform.processes["platform"].send_signal(signal.SIGINT)
        assert await platform.processes["platform"].wait() == 0
        kept = (platform.home / "replicas").iterdir()
        assert all((folder / "ended").exists() for folder in kept)
        await platform.start("platform")
        await platform.until_ready()
        await asyncio.sleep(1)  # it is lost and queued first
        await running(platform, job)
        assert await asked(platform, job) != before


async def test_L07_after_a_reboot_what_ran_runs_again_and_only_once(tmp_path, code):
    """Everything is gone at once: the platform, its database, and the server with what kept it
    alive. And the database ends with the next platform, though the first never let go of it."""
    (code / "predict.py").write_text(f"{CODE}print('loaded', flush=True)\n")
    home = tmp_path / "home"
    async with embedded(home) as platform:
        job = await endpoint(platform, code)
        before = await asked(platform, job)
        assert await loaded(platform, job, 1) == [1]
        await platform.kill("platform")
        async with asyncio.timeout(30):
            while cut_off(home):
                await asyncio.sleep(0.05)
        await platform.start("platform")
        await platform.until_ready()
        assert await loaded(platform, job, 2) == [1, 2]
        await running(platform, job)
        after = {await asked(platform, job) for _ in range(5)}
        assert len(after) == 1
        assert before not in after
        replicas = [folder for folder in (home / "replicas").iterdir() if alive.lives(folder)]
        assert [folder.name for folder in replicas] == [f"{job}-2"]
        assert await loaded(platform, job, 2) == [1, 2]
    assert leftovers(home) == []


async def test_a_folder_has_one_platform(tmp_path):
    async with embedded(tmp_path / "home"):
        code, said = await start_and_end(SLIPWAY_HOME=str(tmp_path / "home"))
    assert code == 2
    assert "runs in" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("which", ["API_PORT", "ROUTER_GRPC_PORT"])
async def test_a_taken_port_is_named_with_the_setting_that_changes_it(tmp_path, which):
    names = ("API_PORT", "ROUTER_PORT", "ROUTER_GRPC_PORT")
    ports = dict(zip(names, map(str, free_ports(3)), strict=True))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports[which] = str(taken.getsockname()[1])
        code, said = await start_and_end(SLIPWAY_HOME=str(tmp_path / "home"), **ports)
    assert code == 2
    assert which in said
    assert "Traceback" not in said
    assert not (tmp_path / "home" / "client.toml").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"API_PORT": "many"}, "api_port"),
        ({"SLIPWAY_GPUS": "rtx3090:lots"}, "SLIPWAY_GPUS"),
        ({"SLIPWAY_PRICES": "0.5"}, "SLIPWAY_PRICES"),
        ({"TARGET": "container", "REGISTRY": ""}, "REGISTRY"),
    ],
)
async def test_a_setting_that_does_not_convert_is_named(tmp_path, setting, said):
    code, told = await start_and_end(SLIPWAY_HOME=str(tmp_path / "home"), **setting)
    assert code == 2
    assert said in told
    assert "Traceback" not in told
