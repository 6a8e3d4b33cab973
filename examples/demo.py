"""The main job, shown: `make demo`, or `make demo TARGET=container`.

Starts the platform in a fresh folder on free ports with two declared GPUs, deploys the examples,
calls each endpoint and prints what came back, applies models and an application that is made of
them, then stops everything. Exits with 0 only if every answer is the right one. On the container
target each example runs in its own base image, and what it stands on is shown as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from examples.images import Images
from slipway import AsyncClient, SlipwayError
from tests.acceptance.platform import Platform, embedded
from tests.beds.debian import NotHad
from tests.beds.ground import Ground, ground
from tests.beds.podman import NoPodman
from tests.beds.registry import NoRegistry
from tests.beds.rootfs import NoSystem

HERE = Path(__file__).parent
GPUS = "rtx3090:2"
TARGETS = ("process", "container")
TTY = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

UNFIT = (NotHad, NoPodman, NoRegistry, NoSystem)
"""What this machine lacks for containers."""


class Wrong(Exception):
    """An answer was not what it has to be."""


def say(style: str, text: str) -> None:
    codes = {"title": "1;36", "good": "32", "dim": "2", "plain": "0"}
    print(f"\033[{codes[style]}m{text}\033[0m" if TTY else text, flush=True)


def check(right: bool, what: str) -> None:
    if not right:
        raise Wrong(what)
    say("good", f"  ✓ {what}")


class Caller:
    """Calls endpoints through the router and prints each call and its answer."""

    def __init__(self, http: aiohttp.ClientSession, router: str, images: Images | None) -> None:
        self._http = http
        self._router = router
        self._images = images

    async def stands_on(self, slipway: AsyncClient, job: str) -> None:
        """Show the image and the system of a job that has its own."""
        if self._images is None:
            return
        found = await self._images.found(slipway, job)
        say("plain", f"  its container is {found.system}")
        say("dim", f"    base  {found.base}")
        say("dim", f"    image {found.image}")
        check(await self._images.pushed(self._http, found), "the registry has that image")

    async def __call__(self, method: str, url: str, body: Any = None) -> tuple[int, str]:
        async with self._http.request(method, url, json=body) as answer:
            text = await answer.text()
        path = url.removeprefix(self._router)
        sent = "" if body is None else f" {short(json.dumps(body))}"
        say("plain", f"  {method} {path}{sent}")
        say("dim", f"    → {answer.status} {short(text)}")
        return answer.status, text

    async def answer(self, url: str, body: Any) -> str:
        async with self._http.post(url, json=body) as answer:
            return await answer.text()

    async def quietly(self, url: str, body: Any) -> int:
        async with self._http.post(url, json=body) as answer:
            await answer.read()
            return answer.status


def short(text: str, most: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


async def server_command(slipway: AsyncClient, call: Caller) -> None:
    say("title", "\n1. valohai.yaml with a server-command")
    version = await slipway.deploy(HERE / "greeter", wait=True)
    check(version.state == "ready", f"version {version.deployment}/{version.name} runs")
    for note in version.notes:
        say("dim", f"    {note}")
    for job in version.jobs.values():
        await call.stands_on(slipway, job)
    for _ in range(2):  # this server exits after each request
        status, text = await call("GET", version.urls["greet-me"] + "/")
        check(status == 200 and "Hello world!" in text, "the one-request server answered")


async def wsgi(slipway: AsyncClient, call: Caller) -> None:
    say("title", "\n2. valohai.yaml with wsgi, a model file, and an alias")
    digits = HERE / "digits"
    files = {"predict-digit": {"model": digits / "model.npz"}}
    sample = json.loads((digits / "sample.json").read_text())
    first = await slipway.deploy(digits, files=files, alias="production")
    await call.stands_on(slipway, first.jobs["predict-digit"])
    url = f"{call._router}/{first.owner}/{first.project}/digits/production/predict-digit"
    status, text = await call("POST", url, sample)
    check(status == 200 and '"digit"' in text, "the model answered under the alias")
    second = await slipway.deploy(digits, files=files, environment={"STAGE": "second"}, wait=True)
    check(second.name != first.name, f"a second version, {second.name}, runs beside the first")
    moved = await slipway.set_alias("digits", "production", second.name)
    check(moved.version == second.name, f"production now points at {second.name}")
    check((await call("POST", url, sample))[0] == 200, "the same URL answers from the second")
    back = await slipway.rollback_alias("digits", "production")
    check(back.version == first.name, f"rolled back to {first.name}")
    check((await call("POST", url, sample))[0] == 200, "the same URL answers from the first")


async def routes(slipway: AsyncClient, call: Caller) -> None:
    say("title", "\n3. a proxiML endpoint with routes, on GPUs that another one waits for")
    document = json.loads((HERE / "sentiment" / "endpoint.json").read_text())
    asked = document["endpoint"]["routes"]
    options: dict[str, Any] = {"document": document, "gpu_type": "rtx3090", "gpu_count": 2}
    first = await slipway.create_endpoint("sentiment", HERE / "sentiment", **options)
    first = await slipway.wait_for_job(first.id)
    check(len(first.gpus) == 2, f"{first.name} runs and holds {', '.join(first.gpus)}")
    await call.stands_on(slipway, first.id)
    await call_routes(call, first.url or "", asked)
    second = await slipway.create_endpoint("sentiment-b", HERE / "sentiment", **options)
    second = await slipway.wait_for_job(second.id, "queued")
    while not second.reason:
        second = await slipway.job(second.id)
        await asyncio.sleep(0.05)
    check(second.state == "queued", f"{second.name} is queued: {second.reason}")
    await slipway.stop(first.id)
    second = await slipway.wait_for_job(second.id)
    check(second.state == "running", f"{first.name} stopped, so {second.name} runs")
    await slipway.stop(second.id)


async def call_routes(call: Caller, url: str, asked: list[dict[str, Any]]) -> None:
    samples = json.loads((HERE / "sentiment" / "samples.json").read_text())
    for route in asked:
        status, _ = await call(route["verb"], url + route["path"], samples[route["path"]])
        way = "position" if route.get("positional") else "keyword"
        check(status == 200, f"{route['path']} called its function by {way}")
    status, text = await call("POST", url + asked[0]["path"], {"nonsense": 1})
    check(status == 422 and "nonsense" in text, "a body that breaks the template is named")


async def pipeline(slipway: AsyncClient, call: Caller) -> None:
    say("title", "\n4. Hydrosphere's definitions: two models, and a pipeline that splits 80 to 20")
    claims = HERE / "claims"
    models = (claims / "preprocessing", claims / "model-1", claims / "model-2")
    changes = await slipway.apply(*models, claims / "application.yaml", wait=True)
    for change in changes:
        say("dim", f"    {change.kind} {change.name}:{change.version} {change.action}")
    application = await slipway.application("claims")
    check(application.state == "ready", "the application is ready")
    assert application.live is not None
    await call.stands_on(slipway, application.live.stages[0][0].job)
    sample = json.loads((claims / "sample.json").read_text())
    status, text = await call("POST", application.url, sample)
    check(status == 200 and '"risk"' in text, "both stages answered")
    told = Counter([await call.answer(application.url, sample) for _ in range(200)])
    split = sorted(told.values(), reverse=True)
    check(len(split) == 2 and 130 <= split[0] <= 190, f"200 requests went {split[0]} to {split[1]}")
    status, text = await call("POST", application.url, {"age": 34})
    check(status == 400 and "Missing" in text, "a request that breaks the contract is told so")
    again = await slipway.apply(*models, claims / "application.yaml")
    check({change.action for change in again} == {"unchanged"}, "applying again changes nothing")
    jobs = [variant.job for stage in application.live.stages for variant in stage]
    await slipway.remove_application("claims")
    async with asyncio.timeout(60):
        left = jobs
        while left:
            found = [await slipway.job(job) for job in left]
            left = [job.id for job in found if job.state != "terminated"]  # stopped first
            await asyncio.sleep(0.05)
    check(True, "removed, and its three servables with it")


async def overload(slipway: AsyncClient, call: Caller) -> None:
    say("title", "\n5. more calls than it takes: 503 for some, /ping for all")
    asked = json.loads((HERE / "sentiment" / "endpoint.json").read_text())["endpoint"]["routes"]
    sample = json.loads((HERE / "sentiment" / "samples.json").read_text())[asked[0]["path"]]
    job = await slipway.create_endpoint(
        "narrow", HERE / "sentiment", routes=asked, gpu_type="cpu", concurrency=1, waiting=1
    )
    job = await slipway.wait_for_job(job.id)
    url = (job.url or "") + asked[0]["path"]
    burst = asyncio.gather(*(call.quietly(url, sample) for _ in range(64)))
    pinged, _ = await call("GET", (job.url or "") + "/ping")
    told = Counter(await burst)
    check(told[503] > 0 and told[200] > 0, f"64 calls at once: {dict(sorted(told.items()))}")
    check(set(told) == {200, 503}, "nothing but answers and 503")
    check(pinged == 200, "/ping answered 200 meanwhile")


async def stop_all(slipway: AsyncClient) -> None:
    say("title", "\n6. stop")
    over = ("stopped", "failed", "terminated")
    jobs = [job for job in await slipway.jobs() if job.state not in over]
    await asyncio.gather(*(slipway.stop(job.id) for job in jobs))
    ended = await asyncio.gather(*(slipway.wait_for_job(job.id, "stopped") for job in jobs))
    check(all(job.state == "stopped" for job in ended), f"{len(ended)} jobs stopped")
    free = {gpu.type: gpu.free for gpu in await slipway.gpus()}
    check(free == {"rtx3090": 2}, "both GPUs are free again")


@asynccontextmanager
async def platform(target: str) -> AsyncIterator[tuple[Platform, Ground | None]]:
    home, under = Path(tempfile.mkdtemp(prefix="slipway-demo-")), None
    settings = {"SLIPWAY_GPUS": GPUS, "TARGET": target}
    try:
        async with AsyncExitStack() as stack:
            if target == "container":
                say("title", "Setting up a registry, base images and a container engine …")
                under = await stack.enter_async_context(ground(home / "ground"))
                settings |= under.settings
                check(True, f"registry {under.registry}, engine {under.engine.url}")
            say("title", f"Starting the platform with {GPUS} declared …")
            yield await stack.enter_async_context(embedded(home / "home", **settings)), under
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def demo(target: str) -> None:
    async with platform(target) as (found, under):
        started = time.monotonic()
        check(True, f"API {found.api_url}, router {found.router_url}")
        async with (
            AsyncClient(found.api_url, found.token, "local/default") as slipway,
            aiohttp.ClientSession() as http,
        ):
            call = Caller(http, found.router_url, Images(under) if under else None)
            for part in (server_command, wsgi, routes, pipeline, overload):
                await part(slipway, call)
            await stop_all(slipway)
    say("good", f"\nAll of it worked, in {time.monotonic() - started:.1f} s.")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    target = os.environ.get("TARGET") or "process"
    if target not in TARGETS:
        print(f"TARGET is {target}; the demo knows {' and '.join(TARGETS)}", file=sys.stderr)
        return 2
    try:
        asyncio.run(demo(target))
    except (Wrong, SlipwayError, TimeoutError, aiohttp.ClientError, *UNFIT) as error:
        print(f"\n  ✗ {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # all is ended and removed by now
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
