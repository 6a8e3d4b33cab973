"""The driver of a cluster, as tests/scheduler/targets.py has those of other targets."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import connector

from services.scheduler.driver import Replica
from services.scheduler.drivers import Kubernetes
from services.scheduler.drivers.kubernetes.driver import KubernetesDriver
from services.scheduler.drivers.kubernetes.open import open_kubernetes
from shared import doorman
from shared.blobs import Blobs
from shared.image import (
    CONFIG_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    Config,
    ContainerConfig,
    Descriptor,
    Manifest,
    RootFs,
)
from tests.beds.kubernetes.bed import Cluster
from tests.scheduler.container import bed
from tests.scheduler.images import layer
from tests.scheduler.targets import PATIENCE, Target

ROOT: Final = Path(__file__).parents[2]
KEY: Final = secrets.token_hex(32)


def trust(cluster: Cluster) -> None:
    """What is signed by the registry's own authority. aiohttp reads them when it is imported."""
    if cluster.authorities is not None:
        connector._SSL_CONTEXT_VERIFIED.load_verify_locations(cluster.authorities)


async def pushing(cluster: Cluster) -> bed.Bed:
    trust(cluster)
    return bed.Bed(None, cluster.registry, await bed.based(cluster.registry))


async def doorman_image(to: bed.Bed, blobs: Blobs) -> str:
    """The program of runtimes/doorman.py on the tests' base, as the cluster pulls it."""
    content = layer({"/doorman.py": (ROOT / "runtimes" / "doorman.py").read_text()})
    ours = await blobs.put_bytes(content)
    config = msgspec.json.encode(
        Config(
            architecture="amd64",
            os="linux",
            config=ContainerConfig(entrypoint=("/usr/bin/python3", "/doorman.py")),
            rootfs=RootFs(diff_ids=(*to.base.diff_ids, ours.digest)),
        )
    )
    told = await blobs.put_bytes(config)
    manifest = Manifest(
        schema_version=2,
        media_type=MANIFEST_TYPE,
        config=Descriptor(media_type=CONFIG_TYPE, digest=told.digest, size=told.size),
        layers=(
            *to.base.layers,
            Descriptor(media_type=LAYER_TYPE, digest=ours.digest, size=ours.size),
        ),
    )
    digest = (await blobs.put_bytes(msgspec.json.encode(manifest))).digest
    return f"{await to.push(blobs, digest)}@{digest}"


class ClusterTarget(Target):
    def __init__(
        self,
        driver: KubernetesDriver,
        blobs: Blobs,
        home: Path,
        to: bed.Bed,
        cluster: Cluster,
        namespace: str,
    ) -> None:
        super().__init__("kubernetes", driver, blobs, home, to)
        self.cluster = cluster
        self.namespace = namespace

    async def kubectl(self, *words: str) -> str:
        return await self.cluster.kubectl("-n", self.namespace, *words)

    async def get(self, replica: Replica, address: str, path: str = "/") -> bytes:
        """One request by way of the doorman; what came back after the head."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await introduced(replica, address)
            writer.write(f"GET {path} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
            whole = await reader.read()
            writer.close()
        return whole.partition(b"\r\n\r\n")[2]


async def introduced(
    replica: Replica, address: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where, nonce = urlsplit(address), secrets.token_bytes(doorman.NONCE)
    assert where.scheme == "doorman"
    assert where.hostname is not None
    assert where.port is not None
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(nonce)
    proof = await reader.readexactly(doorman.PROOF)
    secret = doorman.secret(KEY, replica.job, replica.attempt)
    assert doorman.proven(proof, [secret], nonce, where.hostname, where.port)
    return reader, writer


def settings(cluster: Cluster, namespace: str, image: str) -> Kubernetes:
    return Kubernetes(
        kubeconfig=str(cluster.kubeconfig),
        namespace=namespace,
        platform=namespace,
        doorman_image=image,
        doorman_key=KEY,
        grace=2,
        drain=0,
        router_networks=(f"{cluster.host}/32",) if cluster.host else (),
        network_policies="unasked",
    )


@asynccontextmanager
async def target(
    cluster: Cluster, to: bed.Bed, image: str, home: Path
) -> AsyncIterator[ClusterTarget]:
    """In a namespace of its own, where nothing of ours is left at the end."""
    blobs = Blobs.open(f"file:{home / 'blobs'}")
    async with (
        cluster.namespace() as namespace,
        open_kubernetes(settings(cluster, namespace, image)) as driver,
    ):
        yield ClusterTarget(driver, blobs, home, to, cluster, namespace)
        for replica in await driver.observe():
            await driver.stop(replica, 0)
        selector = f"slipway.dev/platform={namespace}"
        left = await cluster.get("-n", namespace, "pods,deployments", "-l", selector)
        assert left["items"] == []
