"""The platform as its operators have it: the chart, installed on the cluster with real Helm.

`installed` gives it in namespaces of its own, and takes all of it away again. PostgreSQL and RabbitMQ
are the chart's bundled ones, from images made of Debian's packages.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import helm_python

from charts.images.recipe import ROOT
from tests.acceptance.platform import Platform
from tests.beds.bases import SERVERS
from tests.beds.ground import NAMED
from tests.beds.kubernetes.bed import Cluster, Failed
from tests.beds.kubernetes.place import NODE
from tests.cluster.forwarded import forwarded
from tests.keys import pair
from tests.ports import free_ports

CHART: Final = ROOT / "charts" / "slipway"
RELEASE: Final = "slipway"
TRUSTED: Final = "trusted"  # the Secret with the keys that schedulers trust
TARGET: Final = "kubernetes"
PATIENCE: Final = 3.0  # a cluster of two processors, of which everything has its part
WITHIN: Final = 420  # seconds for all pods to be ready, images that have yet to come among it

API, ROUTER, GRPC = 8080, 8000, 9090


@dataclass(frozen=True)
class Installed:
    cluster: Cluster
    platform: Platform
    namespace: str
    workloads: str  # the namespace of the target `kubernetes`
    values: dict[str, Any]  # that it was installed with

    async def helm(self, action: str, *arguments: Any, **options: Any) -> Any:
        """What Helm's own library answers; `action` is one of its Config's."""
        return await _helm(self.cluster, self.namespace, action, *arguments, **options)

    async def kubectl(self, *arguments: str) -> str:
        return await self.cluster.kubectl("--namespace", self.namespace, *arguments)

    async def pods(self, component: str) -> list[dict[str, Any]]:
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"
        found = await self.cluster.get("pods", "--namespace", self.namespace, "-l", selector)
        return list(found["items"])


async def _helm(
    cluster: Cluster, namespace: str, action: str, *arguments: Any, **options: Any
) -> Any:
    def work() -> Any:
        with helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace) as config:
            return getattr(config, action)(*arguments, **options)

    return await asyncio.to_thread(work)


def servers(cluster: Cluster) -> None:
    """The images of what the chart bundles, in the cluster's registry. Blocks."""
    # a process of its own, since authorities are read when a process starts
    subprocess.run(
        [sys.executable, "-m", "tests.beds.bases", cluster.registry, *SERVERS],
        env={**os.environ, **cluster.environment},
        check=True,
    )


def values(
    cluster: Cluster, images: Mapping[str, Any], targets: Mapping[str, str], **settings: str
) -> dict[str, Any]:
    """`targets`: their namespaces, by name. `settings` are for every service, by name."""
    found: dict[str, Any] = {
        **images,
        "targets": [{"name": name, "namespace": where} for name, where in targets.items()],
        "settings": settings,
        "database": {"bundled": {"image": f"{cluster.registry}/postgres:17"}},
        "broker": {"bundled": {"image": f"{cluster.registry}/rabbitmq:4"}},
        "registry": {
            "url": f"{cluster.registry}/slipway",
            "baseRegistry": cluster.registry,
            "baseImages": dict(NAMED),
            "signingSecret": "signing",
            "trustedSecret": TRUSTED,
        },
        # the label that newer clusters give by themselves
        "networkPolicies": {"releaseNamespace": {"slipway.dev/platform": "slipway"}},
        "drain": {"linger": 2, "grace": 20},
    }
    # a bed of two processors, of which others have their part
    small = {"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}}
    for part in ("api", "router", "builder", "scheduler"):
        found[part] = dict(small)
    for part in ("database", "broker"):
        found[part]["bundled"] |= small
    if cluster.host:
        found["scheduler"] |= {"settings": {"DNS_NETWORKS": f"{NODE}/32"}}  # a process of the node
    if cluster.authorities:
        found["certificates"] = {"configMap": "authorities"}
    return found


@asynccontextmanager
async def prepared(
    cluster: Cluster, images: Mapping[str, Any], *others: str, **settings: str
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A namespace with all that an installation needs, and its values. All of it goes afterwards.

    `others`: targets beside `kubernetes`, in namespaces of their own.
    """
    await asyncio.to_thread(servers, cluster)
    async with AsyncExitStack() as stack:
        namespace = await stack.enter_async_context(cluster.namespace())
        targets = {TARGET: f"{namespace}-workloads"}
        targets |= {name: f"{targets[TARGET]}-{name}" for name in others}
        await stack.enter_async_context(cleared(cluster, namespace, *targets.values()))
        await cluster.kubectl("label", "namespace", namespace, "slipway.dev/platform=slipway")
        given = values(cluster, images, targets, **settings)
        with TemporaryDirectory() as folder:  # what the builder signs, the schedulers trust
            keys = await asyncio.to_thread(pair, Path(folder), "signing")
            for name, file in (
                ("signing", f"key.pem={keys.private}"),
                (TRUSTED, f"keys.pem={keys.public}"),
            ):
                words = ("create", "secret", "generic", name, f"--from-file={file}")
                await cluster.kubectl("--namespace", namespace, *words)
        if cluster.authorities:
            await cluster.kubectl(
                *("--namespace", namespace, "create", "configmap", "authorities"),
                f"--from-file=bundle.crt={cluster.authorities}",
            )
        if cluster.host:  # our own, whose services have addresses that are reached from here
            api, router = (f"10.96.77.{last}" for last in random.sample(range(2, 250), 2))
            given["api"] |= {"service": {"clusterIP": api}}
            given["router"] |= {"service": {"clusterIP": router}}
            urls = f"http://{api}:{API}", f"http://{router}:{ROUTER}"
        else:  # by ports of this machine
            one, two = free_ports(2)
            urls = f"http://127.0.0.1:{one}", f"http://127.0.0.1:{two}"
        for part, url in zip(("api", "router"), urls, strict=True):
            given[part] |= {"url": url}
        yield namespace, given


@asynccontextmanager
async def cleared(cluster: Cluster, *namespaces: str) -> AsyncIterator[None]:
    """The namespaces are gone afterwards, and what releases in them have outside of any."""
    try:
        yield
    finally:
        for name in namespaces:
            words = ("--ignore-not-found", "--wait=false")
            await cluster.kubectl("delete", "namespace", name, *words)
            for release in (RELEASE, f"{RELEASE}-target"):
                whole = f"{name}-{release}-scheduler"
                await cluster.kubectl("delete", "clusterrole,clusterrolebinding", whole, *words)


@asynccontextmanager
async def installed(
    cluster: Cluster,
    images: Mapping[str, Any],
    home: Path,
    *others: str,
    chart: Path = CHART,
    **settings: str,
) -> AsyncIterator[Installed]:
    """All pods are ready, and there is a token of the role admin. `settings` are for all services."""
    async with AsyncExitStack() as stack:
        opening = prepared(cluster, images, *others, **settings)
        namespace, given = await stack.enter_async_context(opening)
        workloads = f"{namespace}-workloads"
        try:
            await _helm(
                *(cluster, namespace, "install", chart, RELEASE, given),
                wait="watcher",
                timeout=WITHIN,
            )
        except helm_python.HelmError as error:
            raise AssertionError(f"{error}\n{await _state(cluster, namespace)}") from error
        grpc = f"{urlsplit(given['router']['url']).hostname}:{GRPC}"
        if not cluster.host:
            (local,) = free_ports(1)
            grpc = f"127.0.0.1:{local}"
            for name, port, url in (
                ("api", API, given["api"]["url"]),
                ("router", ROUTER, given["router"]["url"]),
                ("router", GRPC, f"http://{grpc}"),
            ):
                forwarding = forwarded(cluster, namespace, f"{RELEASE}-{name}", port, url)
                await stack.enter_async_context(forwarding)
        token = await cluster.kubectl(
            *("--namespace", namespace, "exec", f"deployment/{RELEASE}-api", "-c", "api", "--"),
            *("python3", "-m", "services.api.first"),
        )
        platform = Platform(
            home=home,
            api_url=given["api"]["url"],
            router_url=given["router"]["url"],
            environ={**os.environ, **cluster.environment, "TARGET": TARGET},
            commands={},
            token=token.strip(),
            grpc=grpc,
            registry=cluster.registry,
            patience=PATIENCE,
            swept=True,
        )
        yield Installed(cluster, platform, namespace, workloads, given)


async def _state(cluster: Cluster, namespace: str) -> str:
    """What a person would look at first."""
    told = []
    for words in (("get", "pods,pvc", "-o", "wide"), ("get", "events", "--sort-by=.lastTimestamp")):
        told.append(await cluster.kubectl("--namespace", namespace, *words))
    for pod in (await cluster.get("pods", "--namespace", namespace))["items"]:
        name = pod["metadata"]["name"]
        try:
            words = ("logs", name, "--all-containers", "--tail=15")
            told.append(f"{name}:\n{await cluster.kubectl('--namespace', namespace, *words)}")
        except Failed as error:
            told.append(f"{name}: {error}")
    return "\n".join(told)
