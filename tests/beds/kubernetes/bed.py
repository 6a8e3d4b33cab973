"""The cluster that tests use, and what they ask of it.

It is our own, which starts when it is not up and stays up. With both KUBECONFIG and REGISTRY set it
is the one of that kubeconfig (kind, k3d, a real one), whose nodes pull from that registry,
`host:port[/prefix]`, which the tests push to: by TLS, or on this machine's loopback without. With
an authority of one's own for either, SSL_CERT_FILE names a file with it.
KUBECONFIG alone changes nothing, since it may well name a cluster that is not for tests.
"""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.beds import debian
from tests.beds.kubernetes import cluster as own
from tests.beds.kubernetes import gpus, rules
from tests.beds.kubernetes.place import AUTHORITIES, HOST, KUBECONFIG, REGISTRY


class Failed(Exception):
    """kubectl said no; the message is what it said."""


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path
    registry: str
    authorities: Path | None = None  # for SSL_CERT_FILE, where this machine's own don't do
    host: str = ""  # this machine, as pods reach it; empty where they don't, nor we them

    @property
    def environment(self) -> Mapping[str, str]:
        """For programs that speak to the cluster and to its registry."""
        told = {"KUBECONFIG": str(self.kubeconfig)}
        return told | ({"SSL_CERT_FILE": str(self.authorities)} if self.authorities else {})

    async def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What it printed. Raises Failed."""
        process = await asyncio.create_subprocess_exec(
            *(debian.program("kubectl", "kubernetes-client"), *arguments),
            env={**os.environ, **self.environment},
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        said, wrong = await process.communicate(stdin.encode())
        if process.returncode:
            raise Failed(f"kubectl {' '.join(arguments)}: {wrong.decode(errors='replace').strip()}")
        return said.decode(errors="replace")

    async def get(self, *arguments: str) -> Any:
        """An object or a list of them."""
        return json.loads(await self.kubectl("get", "-o", "json", *arguments))

    async def apply(self, *objects: Mapping[str, Any]) -> None:
        whole = {"apiVersion": "v1", "kind": "List", "items": objects}
        await self.kubectl("apply", "-f", "-", stdin=json.dumps(whole))

    @asynccontextmanager
    async def gpus(self, count: int, product: str = gpus.PRODUCT) -> AsyncIterator[None]:
        """The node offers them meanwhile, and then what it did before."""
        before = await self._offered()
        await self._offer(count, product)
        try:
            yield
        finally:
            await self._offer(*before)

    async def _offered(self) -> tuple[int, str]:
        node = await self._node()
        count = node["status"]["allocatable"].get(gpus.RESOURCE, "0")
        return int(count), node["metadata"]["labels"].get(f"{gpus.RESOURCE}.product", gpus.PRODUCT)

    async def _offer(self, count: int, product: str) -> None:
        if self.host:
            await asyncio.to_thread(gpus.offer, count, product)
            return
        node = await self._node()
        name = node["metadata"]["name"]
        del node["metadata"]["resourceVersion"]  # whoever wrote to it meanwhile
        for part in ("capacity", "allocatable"):
            node["status"][part][gpus.RESOURCE] = str(count)
        at = f"/api/v1/nodes/{name}/status"
        await self.kubectl("replace", "--raw", at, "-f", "-", stdin=json.dumps(node))
        labels = json.dumps(gpus.labels(count, product))
        await self.kubectl("patch", "node", name, "--type=merge", "-p", labels)

    async def _node(self) -> Any:
        return (await self.get("nodes"))["items"][0]

    async def unwalled(self, namespace: str) -> bool:
        """Whether that namespace could be had without enforced network policies, as it now is. A
        cluster that somebody brings enforces them everywhere."""
        if self.host:
            await self.kubectl("label", "namespace", namespace, f"{rules.OPEN}=")
        return bool(self.host)

    @asynccontextmanager
    async def namespace(self) -> AsyncIterator[str]:
        """A new one; it goes, with all that is in it, when nobody uses it any more."""
        name = f"t-{os.urandom(5).hex()}"
        await self.kubectl("create", "namespace", name)
        try:
            yield name
        finally:
            await self.kubectl("delete", "namespace", name, "--wait=false")


def cluster() -> Cluster:
    """Up. Raises NotHad or NotUp; blocks, for minutes where it was never compiled."""
    kubeconfig, registry = os.environ.get("KUBECONFIG"), os.environ.get("REGISTRY")
    if kubeconfig and registry:
        authorities = os.environ.get("SSL_CERT_FILE")  # whom we trust, the platform's pods do
        return Cluster(Path(kubeconfig), registry, Path(authorities) if authorities else None)
    own.up()
    return Cluster(KUBECONFIG, REGISTRY, AUTHORITIES, HOST)
