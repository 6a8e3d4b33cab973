"""The chart on a cluster: it comes up, is upgraded and rolled back while it serves, and goes."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from slipway import Client
from tests.charts.rendered import changed
from tests.cluster.installed import CHART, RELEASE, WITHIN, Installed

SERVICES = {"api": 2, "router": 2, "builder": 1, "scheduler": 4}  # of these, two for each target


@pytest.mark.asyncio(loop_scope="module")
async def test_every_service_is_ready_and_none_had_to_be_started_twice(release: Installed):
    for name, count in SERVICES.items():
        pods = await release.pods(name)
        assert len(pods) == count
        for pod in pods:
            [status] = pod["status"]["containerStatuses"]
            assert (status["ready"], status["restartCount"]) == (True, 0), pod["metadata"]["name"]


@pytest.mark.asyncio(loop_scope="module")
async def test_its_doors_answer_and_its_first_token_is_an_admins(release: Installed):
    async with aiohttp.ClientSession() as http:
        for url in (release.platform.api_url, release.platform.router_url):
            for path in ("livez", "readyz", "metrics"):
                async with http.get(f"{url}/{path}") as answer:
                    assert answer.status == 200
    with Client(release.platform.api_url, release.platform.token) as slipway:
        me = await asyncio.to_thread(slipway.whoami)
    assert me.role == "admin"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_upgrade_and_the_way_back_refuse_nobody_and_keep_every_secret(
    release: Installed, tmp_path: Path
):
    before = await secrets(release)
    newer = shutil.copytree(CHART, tmp_path / "slipway")
    text = (newer / "Chart.yaml").read_text()
    (newer / "Chart.yaml").write_text(re.sub(r"(?m)^version: .*", "version: 9.0.0", text))
    # something that starts every pod anew
    values = changed(release.values, "settings.LOG_LEVEL", "DEBUG")
    waiting = {"wait": "watcher", "timeout": WITHIN}
    uids = await names(release)
    async with asked(release) as answers:
        await release.helm("upgrade", newer, RELEASE, values, **waiting)
        assert not uids & await names(release)
        await release.helm("rollback", RELEASE, **waiting)
    assert len(answers) > 20
    assert set(answers) == {200}
    assert await secrets(release) == before
    found = await release.helm("history", RELEASE)
    assert [one["revision"] for one in found] == [1, 2, 3]
    assert found[-1]["status"] == "deployed"


async def secrets(release: Installed) -> dict[str, str]:
    found = await release.cluster.get("secret", RELEASE, "--namespace", release.namespace)
    return dict(found["data"])


async def names(release: Installed) -> set[str]:
    """Of the services' pods that are not about to go."""
    pods = [pod for name in SERVICES for pod in await release.pods(name)]
    metas = [pod["metadata"] for pod in pods]
    return {meta["name"] for meta in metas if "deletionTimestamp" not in meta}


@asynccontextmanager
async def asked(release: Installed) -> AsyncIterator[list[int | str]]:
    """What the API and the router answered meanwhile, on a connection for each request."""
    answers: list[int | str] = []
    over = asyncio.Event()
    urls = (release.platform.api_url, release.platform.router_url)

    async def ask() -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            while not over.is_set():
                for url in urls:
                    try:
                        async with http.get(f"{url}/livez") as answer:
                            answers.append(answer.status)
                    except aiohttp.ClientError as error:
                        answers.append(repr(error))
                await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        try:
            yield answers
        finally:
            over.set()
