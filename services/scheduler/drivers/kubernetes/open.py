"""Opens the driver of one cluster: logs in, begins to watch, and adopts what runs there."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from services.scheduler.drivers import Kubernetes
from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.common import Common
from services.scheduler.drivers.kubernetes.door import open_cluster
from services.scheduler.drivers.kubernetes.driver import KubernetesDriver
from services.scheduler.drivers.kubernetes.ender import Ender
from services.scheduler.drivers.kubernetes.images import Images
from services.scheduler.drivers.kubernetes.live import Live
from services.scheduler.drivers.kubernetes.maker import Maker
from services.scheduler.drivers.kubernetes.manifests.settings import Peers, Settings
from services.scheduler.drivers.kubernetes.pictures import Pictures
from services.scheduler.drivers.kubernetes.terms import Terms
from services.scheduler.drivers.kubernetes.walls import Walls
from shared.errors import Invalid, Permanent
from shared.registry import Registries
from shared.registry.credentials import Credentials

ROUTERS: Final = {"app.kubernetes.io/component": "router"}  # as the chart labels them
SCHEDULERS: Final = {"app.kubernetes.io/component": "scheduler"}
SYNC: Final = 10.0  # seconds that the first look may take


@asynccontextmanager
async def open_kubernetes(
    told: Kubernetes, credentials: Credentials | None = None
) -> AsyncIterator[KubernetesDriver]:
    """A driver whose replicas are Deployments in one namespace of a cluster.

    Opening it again finds what runs. The cluster need not answer yet. Raises Invalid for settings
    with which nothing can run.
    """
    credentials = credentials or Credentials()
    settings = settings_of(told)
    changed = asyncio.Event()
    async with AsyncExitStack() as stack:
        try:
            opening = open_cluster(told.kubeconfig, told.context, told.namespace)
            cluster = await stack.enter_async_context(opening)
        except Permanent as error:
            raise Invalid("KUBECONFIG", f"can't be used: {error}") from error
        registries = await stack.enter_async_context(Registries.open(credentials))
        pictures = Pictures(cluster, told.platform, kinds.AUTOSCALERS_V1, changed)
        terms = Terms(cluster, settings, credentials)
        walls = Walls(cluster, terms, required=told.network_policies == "required")
        common = Common(cluster, told.platform)
        live = Live(cluster, told.platform)
        driver = KubernetesDriver(
            cluster,
            live,
            pictures,
            Maker(cluster, Images(registries), terms, common),
            Ender(cluster, live, pictures, settings),
            common=common,
            walls=walls,
            target=told.target,
            platform=told.platform,
            changed=changed,
        )
        await stack.enter_async_context(pictures.watching())
        stack.push_async_callback(driver.close)
        if told.network_policies != "unasked":
            await stack.enter_async_context(_during(walls.watch()))
        await pictures.synced(SYNC)
        yield driver


@asynccontextmanager
async def _during(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def settings_of(told: Kubernetes) -> Settings:
    """As the manifests take them."""
    if not told.doorman_image:
        raise Invalid("DOORMAN_IMAGE", "is needed for a cluster")
    if not told.doorman_key:
        raise Invalid("DOORMAN_KEY", "is needed for a cluster")
    more: dict[str, Any] = {}
    if told.defaults is not None:
        more["defaults"] = told.defaults
    if told.routers is not None or told.router_namespace is not None:
        pods = ROUTERS if told.routers is None else dict(told.routers)
        more["routers"] = Peers(namespace=dict(told.router_namespace or {}), pods=pods)
    if told.schedulers is not None or told.router_namespace is not None:
        pods = SCHEDULERS if told.schedulers is None else dict(told.schedulers)
        more["schedulers"] = Peers(namespace=dict(told.router_namespace or {}), pods=pods)
    if told.dns_networks:
        more["dns_networks"] = told.dns_networks
    return Settings(
        platform=told.platform,
        namespace=told.namespace,
        doorman_image=told.doorman_image,
        doorman_key=told.doorman_key,
        grace=max(1, math.ceil(told.grace)),
        drain=max(0, math.ceil(told.drain)),
        router_networks=told.router_networks,
        closed_networks=told.closed_networks,
        allow_root=told.allow_root,
        claims=dict(told.claims),
        **more,
    )
