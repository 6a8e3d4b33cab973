"""Things break while requests come in: the endpoints go on serving, and all is well again soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from slipway import AsyncClient
from tests.beds.kubernetes.bed import Cluster
from tests.cluster import breaking, check
from tests.cluster.api import Refused, api
from tests.cluster.check import Place
from tests.cluster.drilled import drill, rows
from tests.cluster.installed import Installed
from tests.cluster.traffic import Ask

AWAY = 120.0  # seconds without an API server
FLOWING = 3.0  # seconds of traffic before and after
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()
    def do_GET(self):
        said = b"served by " + sys.argv[1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""
CONFIG = "\n".join(
    f"- endpoint: {{name: {name}, image: 'python:3.11', port: 8000, server-command: python serve.py {name}}}"
    for name in ("one", "two")
)
GPU = {"gpu_types": ["rtx3090"], "gpu_count": 1}


@dataclass(frozen=True)
class Standing:
    release: Installed
    place: Place
    asks: tuple[Ask, ...]
    jobs: dict[str, str]  # endpoint -> job

    def replica(self, endpoint: str) -> str:
        return f"{self.jobs[endpoint]}-1"

    @property
    def bed(self) -> Cluster:
        return self.release.cluster

    async def pods(self, endpoint: str) -> list[dict[str, Any]]:
        path = f"/api/v1/namespaces/{self.place.namespace}/pods"
        return await self.place.api.items(path, f"slipway.dev/replica={self.replica(endpoint)}")

    def at(self, kind: str, endpoint: str) -> str:
        return f"{check.KINDS[kind].format(self.place.namespace)}/{self.replica(endpoint)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(
    release: Installed, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Standing]:
    """Two endpoints of two copies each that get requests, and one that holds a GPU."""
    source = tmp_path_factory.mktemp("source")
    (source / "valohai.yaml").write_text(CONFIG)
    (source / "serve.py").write_text(SERVER)
    async with (
        api(release.cluster.kubeconfig) as cluster,
        AsyncClient(release.platform.api_url, release.platform.token, "local/default") as slipway,
    ):
        version = await slipway.deploy(
            source, deployment="drilled", replicas={"*": 2}, wait=True, timeout=300
        )
        held = await slipway.create_endpoint(
            "held",
            source,
            start_command="python serve.py held",
            gpu_type="rtx3090",
            image="python:3.11",
        )
        await slipway.wait_for_job(held.id, "running", timeout=300)
        asks = [
            Ask(method=method, url=f"{url}/", body=body, expect=f"served by {name}".encode())
            for name, url in version.urls.items()
            for method, body in (("GET", None), ("POST", b"x" * 1000))
        ]
        place = Place(cluster, release.workloads, rows(release))
        yield Standing(release, place, tuple(asks), version.jobs)


@pytest.mark.parametrize("service", ["api", "builder", "scheduler", "router"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_is_killed(standing: Standing, service: str) -> None:
    async with drill(standing.place, standing.asks) as it:
        await asyncio.sleep(FLOWING)
        pods = await standing.release.pods(service)
        if service == "router":  # the other one serves on
            pods = pods[:1]
            it.router_killed()
        for pod in pods:
            await breaking.kill(standing.bed, pod)
        await begun_again(standing, service, pods)
        await asyncio.sleep(FLOWING)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_pod_is_deleted_by_hand(standing: Standing) -> None:
    async with drill(standing.place, standing.asks) as it:
        await asyncio.sleep(FLOWING)
        victim = (await standing.pods("one"))[0]["metadata"]["name"]
        it.spared.add(victim)
        await standing.place.api.delete(
            f"/api/v1/namespaces/{standing.place.namespace}/pods/{victim}"
        )
        await asyncio.sleep(FLOWING)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_node_is_cordoned(standing: Standing) -> None:
    async with drill(standing.place, standing.asks):
        async with breaking.cordoned(standing.bed):
            await asyncio.sleep(15)
        await asyncio.sleep(FLOWING)


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("Deployment", {"spec": {"replicas": 1}}),
        ("Deployment", {"spec": {"replicas": 4}}),
        ("Deployment", {"metadata": {"labels": {"slipway.dev/project": "somebody"}}}),
        ("Service", {"spec": {"ports": [{"port": 9, "name": "door", "protocol": "TCP"}]}}),
        ("Secret", {"data": {".doorman": "AAAA"}}),
    ],
    ids=["fewer", "more", "label", "port", "secret"],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_an_object_is_edited_by_hand(
    standing: Standing, kind: str, patch: dict[str, Any]
) -> None:
    async with drill(standing.place, standing.asks) as it:
        before = await standing.place.api.get(standing.at(kind, "one"))
        # pods that a smaller number ended are ended, and new ones come
        it.spared |= {pod["metadata"]["name"] for pod in await standing.pods("one")}
        await standing.place.api.patch(standing.at(kind, "one"), patch)
        await until_as(standing, kind, before)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_image_is_edited_by_hand(standing: Standing) -> None:
    async with drill(standing.place, standing.asks) as it:
        before = await standing.place.api.get(standing.at("Deployment", "one"))
        it.spared |= {pod["metadata"]["name"] for pod in await standing.pods("one")}
        path = "/spec/template/spec/containers/0/image"
        edit = [{"op": "replace", "path": path, "value": "somebody/elses:latest"}]
        await standing.place.api.patch(
            standing.at("Deployment", "one"), edit, "application/json-patch+json"
        )
        await until_as(standing, "Deployment", before)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_object_is_deleted_by_hand(standing: Standing) -> None:
    async with drill(standing.place, standing.asks):
        before = await standing.place.api.get(standing.at("Service", "one"))
        await standing.place.api.delete(standing.at("Service", "one"))
        await until_as(standing, "Service", before)


@pytest.mark.asyncio(loop_scope="module")
async def test_etcd_is_killed_and_begins_again(standing: Standing) -> None:
    if not standing.bed.host:
        return  # a cluster of somebody else's keeps its own
    async with drill(standing.place, standing.asks):
        async with breaking.without("etcd"):
            await asyncio.sleep(5)
        await asyncio.sleep(FLOWING)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_api_server_is_away_for_two_minutes(standing: Standing) -> None:
    if not standing.bed.host:
        return  # a cluster of somebody else's keeps its own
    async with drill(standing.place, standing.asks):
        async with breaking.without("apiserver"):
            await asyncio.sleep(AWAY)
        await asyncio.sleep(FLOWING)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_platform_made_goes_with_its_jobs(standing: Standing) -> None:
    url, token = standing.release.platform.api_url, standing.release.platform.token
    async with AsyncClient(url, token, "local/default") as slipway:
        running = [job for job in await slipway.jobs() if job.state == "running"]
        for job in running:
            await slipway.stop(job.id)
        for job in running:
            # kubelet hears of it late when the API server was away just before
            await slipway.wait_for_job(job.id, "stopped", timeout=180)
    sight, _ = await check.settled(standing.place)
    assert [str(each) for each in sight.things] == []


async def begun_again(standing: Standing, service: str, before: list[dict[str, Any]]) -> None:
    """Returns when the containers that were killed run again."""
    lives = {pod["metadata"]["name"]: restarts(pod) for pod in before}
    async with asyncio.timeout(90):
        while True:
            now = await standing.release.pods(service)
            new = [pod for pod in now if restarts(pod) > lives.get(pod["metadata"]["name"], -1)]
            ready = [
                all(c["ready"] for c in pod["status"].get("containerStatuses", ())) for pod in now
            ]
            if len(new) >= len(before) and all(ready):
                return
            await asyncio.sleep(0.5)


def restarts(pod: dict[str, Any]) -> int:
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))


async def until_as(standing: Standing, kind: str, before: dict[str, Any]) -> None:
    """Returns when an object says again what it did."""

    def said(found: dict[str, Any]) -> list[Any]:
        spec = {
            k: v for k, v in found.get("spec", {}).items() if k not in ("clusterIP", "clusterIPs")
        }
        return [spec, found.get("data"), found["metadata"].get("labels")]

    async with asyncio.timeout(60):
        while True:
            try:
                now = await standing.place.api.get(standing.at(kind, "one"))
                if said(now) == said(before):
                    return
            except Refused as error:
                if error.status != 404:
                    raise
            await asyncio.sleep(0.2)
