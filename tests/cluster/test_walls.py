"""Who reaches whom on a cluster that enforces network policies, with the platform as the chart has
it: two tenants' endpoints, the platform's own pods, and a stranger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from services.scheduler.driver import Refused
from services.scheduler.drivers.kubernetes.open import open_kubernetes
from shared import doorman
from slipway import AsyncClient
from tests.beds.kubernetes.bed import Cluster
from tests.beds.kubernetes.place import INTERNET, METADATA
from tests.cluster.installed import RELEASE, Installed
from tests.cluster.target import settings, target
from tests.cluster.test_drivers import pushed
from tests.scheduler.container.bed import Bed

__all__ = ["pushed"]

SERVER: Final = 1453  # its port
PATIENCE: Final = 60.0  # seconds until walls that were taken down are

CONFIG: Final = f"""\
- endpoint:
    name: serve
    image: python:3.13
    port: {SERVER}
    server-command: python3 serve.py
"""

SERVE: Final = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")
http.server.ThreadingHTTPServer(("0.0.0.0", {SERVER}), Handler).serve_forever()
"""

# what became of a connection to each place, in one line of JSON
TRY: Final = """
import concurrent.futures, json, socket, sys
def tried(at):
    try:
        socket.create_connection(at, 4).close()
    except OSError as error:
        return type(error).__name__
    return "reached"
places = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(len(places)) as threads:
    found = threads.map(tried, [tuple(at) for at in places.values()])
    print(json.dumps(dict(zip(places, found))))
"""

RESOLVE: Final = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"

Place = tuple[str, int]


@dataclass(frozen=True)
class Tenant:
    project: str
    url: str
    pod: str
    address: str
    service: str


@dataclass(frozen=True)
class Scene:
    release: Installed
    one: Tenant
    other: Tenant
    platform: Mapping[str, Place]
    data: Mapping[str, Place]
    node: Mapping[str, Place]

    @property
    def cluster(self) -> Cluster:
        return self.release.cluster

    def copy(self, of: Tenant) -> dict[str, Place]:
        """All doors of a tenant's pod."""
        ports = {"server": SERVER, "doorman": doorman.PORT, "status": doorman.STATUS}
        return {name: (of.address, port) for name, port in ports.items()}

    async def within(self, *words: str) -> str:
        """What Python says in the first tenant's pod."""
        inside = ("exec", self.one.pod, "-c", "server", "--", "python3", "-c")
        return await self.cluster.kubectl("-n", self.release.workloads, *inside, *words)


async def tried(cluster: Cluster, places: Mapping[str, Place], *where: str) -> dict[str, str]:
    """From there: words of `kubectl exec` that name a container."""
    command = ("exec", *where, "--", "python3", "-c", TRY, json.dumps(places))
    found: dict[str, str] = json.loads(await cluster.kubectl(*command))
    return found


def only(found: Mapping[str, str], *reached: str) -> None:
    """Those and nobody else were reached."""
    assert {name for name, said in found.items() if said == "reached"} == set(reached), found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    release: Installed, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("source")
    (folder / "valohai.yaml").write_text(CONFIG)
    (folder / "serve.py").write_text(SERVE)
    one, other = [await tenant(release, name, folder) for name in ("ann", "bob")]
    yield Scene(release, one, other, *await places(release))


async def tenant(release: Installed, owner: str, source: Path) -> Tenant:
    """A new one, whose endpoint is ready."""
    async with AsyncClient(release.platform.api_url, release.platform.token) as admin:
        await admin.create_owner(owner)
        await admin.create_project("house", owner)
        token = (await admin.create_token(owner=owner)).token
    project = f"{owner}/house"
    async with AsyncClient(release.platform.api_url, token, project) as client:
        version = await client.deploy(source, deployment="walls", wait=True)
    selector = f"slipway.dev/owner={owner}"
    found = await release.cluster.get("pods", "-n", release.workloads, "-l", selector)
    [pod] = found["items"]
    return Tenant(
        project=project,
        url=version.urls["serve"],
        pod=pod["metadata"]["name"],
        address=pod["status"]["podIP"],
        service=f"{pod['metadata']['labels']['slipway.dev/replica']}.{release.workloads}.svc",
    )


async def places(
    release: Installed,
) -> tuple[dict[str, Place], dict[str, Place], dict[str, Place]]:
    """The platform's doors, those of its data, and the cluster's own: addresses of pods and of
    services, since a policy that holds for one may miss the other."""
    cluster = release.cluster
    platform, data, node = {}, {}, {}
    for component, port in (
        *(("api", 8080), ("router", 8000), ("builder", 8081), ("scheduler", 8082)),
        *(("postgresql", 5432), ("rabbitmq", 5672)),
    ):
        to = data if component in ("postgresql", "rabbitmq") else platform
        to[component] = ((await release.pods(component))[0]["status"]["podIP"], port)
    for component in ("api", "router", "postgresql", "rabbitmq"):
        to = data if component in data else platform
        service = await cluster.get("service", f"{RELEASE}-{component}", "-n", release.namespace)
        to[f"{component}'s service"] = (service["spec"]["clusterIP"], to[component][1])
    kubernetes = await cluster.get("service", "kubernetes", "-n", "default")
    node["API server"] = (kubernetes["spec"]["clusterIP"], 443)
    [subset, *_] = (await cluster.get("endpoints", "kubernetes", "-n", "default"))["subsets"]
    node["API server's own"] = (subset["addresses"][0]["ip"], subset["ports"][0]["port"])
    pods = await release.pods("api")
    node["kubelet"] = (pods[0]["status"]["hostIP"], 10250)
    if cluster.host:
        host, _, port = cluster.registry.partition(":")
        node["registry"] = (host, int(port))
        node["metadata"] = (METADATA, 10250)  # whatever the node serves there
    else:
        node["metadata"] = (METADATA, 80)
    return platform, data, node


@pytest.mark.asyncio(loop_scope="module")
async def test_k12_a_tenants_pod_reaches_nobody_in_the_cluster(scene: Scene):
    reachable = {
        **scene.copy(scene.other),
        "service": (scene.other.service, doorman.PORT),
        **scene.platform,
        **scene.data,
        **scene.node,
    }
    where = ("-n", scene.release.workloads, scene.one.pod, "-c", "server")
    only(await tried(scene.cluster, reachable, *where))


@pytest.mark.asyncio(loop_scope="module")
async def test_k12_it_knows_names_and_reaches_itself_and_the_internet(scene: Scene):
    address = await scene.within(RESOLVE, f"{scene.other.service}.cluster.local")
    assert address.strip() == scene.other.address
    mine = {"itself": (scene.one.address, SERVER)}
    if scene.cluster.host:  # where we know of an address of the internet that surely answers
        mine["internet"] = (INTERNET, 10250)
    where = ("-n", scene.release.workloads, scene.one.pod, "-c", "server")
    only(await tried(scene.cluster, mine, *where), *mine)


@pytest.mark.asyncio(loop_scope="module")
async def test_k12_routers_reach_doormen_and_nothing_else_of_a_tenant(scene: Scene):
    where = ("-n", scene.release.namespace, f"deployment/{RELEASE}-router", "-c", "router")
    only(await tried(scene.cluster, scene.copy(scene.one), *where), "doorman")
    async with aiohttp.ClientSession() as http:
        for each in (scene.one, scene.other):
            async with http.get(each.url) as answer:
                assert (answer.status, await answer.text()) == (200, "here")


@pytest.mark.asyncio(loop_scope="module")
async def test_k12_a_stranger_reaches_the_doors_for_people_alone(scene: Scene):
    async with scene.cluster.namespace() as namespace:
        container = {
            "name": "stranger",
            "image": f"{scene.cluster.registry}/python:3.13",
            "command": ["python3", "-c", "import time; time.sleep(3600)"],
        }
        spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
        metadata = {"name": "stranger", "namespace": namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        await scene.cluster.apply(pod)
        within = ("--for=condition=Ready", "--timeout=120s")
        await scene.cluster.kubectl("-n", namespace, "wait", *within, "pod/stranger")
        all_doors = {**scene.copy(scene.one), **scene.platform, **scene.data}
        found = await tried(scene.cluster, all_doors, "-n", namespace, "stranger")
    only(found, "api", "api's service", "router", "router's service")


@pytest.mark.asyncio(loop_scope="module")
async def test_k12_the_kubelet_asks_whether_they_are_ready(scene: Scene):
    for each in (scene.one, scene.other):
        pod = await scene.cluster.get("pod", each.pod, "-n", scene.release.workloads)
        for container in pod["status"]["containerStatuses"]:
            assert (container["ready"], container["restartCount"]) == (True, 0), container["name"]


@pytest.mark.asyncio(loop_scope="module")
async def test_k12_all_of_it_would_be_reached_without_walls(scene: Scene):
    """So that what was refused above was refused by them. The last one: they stay down."""
    if not await scene.cluster.unwalled(scene.release.workloads):
        return  # somebody's cluster, whose walls stay where they are
    await scene.cluster.unwalled(scene.release.namespace)
    everything = {**scene.copy(scene.other), **scene.platform, **scene.data, **scene.node}
    where = ("-n", scene.release.workloads, scene.one.pod, "-c", "server")
    async with asyncio.timeout(PATIENCE):
        while set((found := await tried(scene.cluster, everything, *where)).values()) != {
            "reached"
        }:
            print(found)


@pytest.mark.parametrize("walls", [True, False])
async def test_k12_where_walls_are_required_nothing_starts_without_them(
    ground: Cluster, pushed: tuple[Bed, str], tmp_path: Path, walls: bool
):
    bed, image = pushed
    async with target(ground, bed, image, tmp_path) as on:
        if not walls:
            walls = not await ground.unwalled(on.namespace)
        told = settings(ground, on.namespace, image)
        told = msgspec.structs.replace(told, network_policies="required")
        async with open_kubernetes(told) as driver:
            async with asyncio.timeout(180):
                await driver.walls.known.wait()
            outcome = await driver.start(await on.serving())
        assert isinstance(outcome, Refused) is not walls, outcome
        if isinstance(outcome, Refused):
            assert "does not enforce network policies" in outcome.reason
