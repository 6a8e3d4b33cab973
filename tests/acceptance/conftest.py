"""Each acceptance test runs twice: on four processes over RabbitMQ, and on four that run containers with
base images of their own in place of this machine's processes. The embedded platform, which is the
first of these in one process, is what the pages of the docs and the demo are tried on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from slipway import AsyncClient, SlipwayError
from slipway.types import Job, Version
from tests.acceptance.platform import Gpus, Platform, distributed, embedded
from tests.beds.ground import ground
from tests.keys import pair

SETTINGS = {
    "SLIPWAY_GPUS": "rtx3090:2,a100:1,v100:4",
    "SLIPWAY_PRICES": "rtx3090:0.5",
    "STOP_GRACE": "3",
    "PREEMPTION_NOTICE": "1",
    "PREEMPTION_KEPT": "0",
    "GATEWAY_DEADLINE": "10",
    "GATEWAY_SAMPLES": "500",
    "GIT_PRIVATE_HOSTS": "127.0.0.1",
    "COLLECT_EVERY": "10",
}


OVER = ("stopped", "finished", "failed", "terminated", "purged")
PLATFORMS = ["distributed", "container"]


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=PLATFORMS)
async def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    home = tmp_path_factory.mktemp("home")
    async with AsyncExitStack() as stack:
        settings = dict(SETTINGS)
        if request.param == "container":
            under = await stack.enter_async_context(ground(home / "ground"))
            keys = pair(home, "signing")  # what the builder makes, the scheduler trusts
            signed = {"SIGNING_KEY": str(keys.private), "TRUSTED_KEYS": str(keys.public)}
            settings |= under.settings | signed
        if request.param == "embedded":
            opened = embedded(home, **settings)
        else:
            url = request.getfixturevalue("rabbit").url
            opened = distributed(home, url, **settings)
        running = await stack.enter_async_context(opened)
        running.registry = settings.get("BASE_REGISTRY", "")
        await known(running)
        yield running


async def known(platform: Platform) -> None:
    """Returns when the API knows the target's GPUs: till then it has none to give."""
    async with AsyncClient(platform.api_url, platform.token, "local/default") as client:
        async with asyncio.timeout(60):
            while "rtx3090" not in [gpu.type for gpu in await client.gpus()]:
                await asyncio.sleep(0.1)


class Patient(AsyncClient):
    """Waits as much longer as things take on its platform."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform.api_url, platform.token, "local/default")
        self._patience = platform.patience

    async def wait_for_job(self, *arguments: Any, **options: Any) -> Job:
        return await super().wait_for_job(*arguments, **self._longer(options))

    async def wait_for_copies(self, *arguments: Any, **options: Any) -> Job:
        return await super().wait_for_copies(*arguments, **self._longer(options))

    async def deploy(self, *arguments: Any, **options: Any) -> Version:
        return await super().deploy(*arguments, **self._longer(options))

    def _longer(self, options: Mapping[str, Any]) -> dict[str, Any]:
        limit = options.get("timeout")
        return {**options, "timeout": limit and limit * self._patience}


@pytest.fixture
async def slipway(platform: Platform) -> AsyncIterator[AsyncClient]:
    """The SDK; what a test submitted is stopped after it."""
    async with Patient(platform) as client:
        yield client
        servables = {each.name for each in await client.servables() if each.application}
        for application in await client.applications():
            await client.remove_application(application.name)
        for job in await client.jobs():
            if job.state not in OVER and job.name not in servables:
                with suppress(SlipwayError):  # it has just come to its end
                    await client.stop(job.id)
        for job in await client.jobs():
            # the next test needs the GPUs, and nothing else of them
            if (
                job.state not in OVER
                and job.name not in servables
                and (job.gpus or not platform.swept)
            ):
                await client.wait_for_job(job.id, "stopped", timeout=30)


@pytest.fixture
def gpus() -> Gpus:
    return Gpus("rtx3090", 2, other="a100", visible="0,1")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session
