"""An API server of ours, with a cluster behind it that only pretends.

It keeps as much of the contract as `test_door` asks of it and of a real one alike.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from services.scheduler.drivers.kubernetes.kinds import NAMESPACES, Kind
from tests.scheduler.kubernetes.fake.controllers import Controllers
from tests.scheduler.kubernetes.fake.kubelet import Fate, Kubelet
from tests.scheduler.kubernetes.fake.server import Server
from tests.scheduler.kubernetes.fake.store import Object, Store
from tests.scheduler.kubernetes.fake.trouble import Fault, Trouble

__all__ = ["Fake", "Fate", "Fault", "open_fake"]

STEP = 0.02  # seconds between two steps of what pretends to be a cluster


class Fake:
    """`kubeconfig` is the file to reach it by; `namespace` is there already."""

    def __init__(self, folder: Path) -> None:
        self.store = Store()
        self.trouble = Trouble()
        self.kubelet = Kubelet(self.store)
        self.server = Server(self.store, self.kubelet, self.trouble)
        self.kubeconfig = folder / "kubeconfig"
        self.token = folder / "token"
        self.namespace = "slipway-workloads"
        self.controllers = Controllers(self.store)
        self.middle = self.server.middle
        self.port = 0

    def rotate(self, token: str, *, told: bool = True) -> None:
        """Only `token` is accepted from now on; clients can read it unless they are not `told`."""
        self.server.token = token
        if told:
            self.token.write_text(token + "\n")

    def truth(self, kind: Kind) -> dict[tuple[str, str], str]:
        """The versions of all objects of a kind, by namespace and name."""
        return {
            (namespace, name): each["metadata"]["resourceVersion"]
            for (plural, namespace, name), each in self.store.objects.items()
            if plural == kind.plural
        }

    def add(self, kind: Kind, name: str, **rest: Any) -> Object:
        """An object that somebody else made."""
        meta: Object = {"name": name} | ({"namespace": self.namespace} if kind.namespaced else {})
        meta |= rest.pop("metadata", {})
        named = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta}
        return self.store.create(kind.plural, named | rest)

    def remove(self, kind: Kind, name: str) -> None:
        """Deleted by hand, with no grace."""
        namespace = self.namespace if kind.namespaced else ""
        self.store.remove(kind.plural, self.store.get(kind.plural, namespace, name))

    def log(self, pod: str, container: str, *lines: bytes) -> None:
        """Lines that a container prints, each with its stamp before it."""
        self.kubelet.logs.setdefault((pod, container), []).extend(lines)

    async def live(self) -> None:
        """What controllers, scheduler and kubelets do, until cancelled."""
        seen: Any = None
        while True:
            now = self.store.version, dict(self.kubelet.fates), dict(self.kubelet.exits)
            if now != seen:
                self.kubelet.step()
                self.controllers.step()
                seen = now
            await asyncio.sleep(STEP)

    def write(self, port: int) -> None:
        self.port = port
        self.token.write_text(self.server.token)
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "us"}}],
                    "clusters": [
                        {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}
                    ],
                    "users": [{"name": "us", "user": {"tokenFile": str(self.token)}}],
                }
            )
        )


@asynccontextmanager
async def open_fake(folder: Path, *, context: ssl.SSLContext | None = None) -> AsyncIterator[Fake]:
    """One that works until this ends; over TLS where there is a `context` for it."""
    fake = Fake(folder)
    fake.add(NAMESPACES, fake.namespace)
    fake.kubelet.node("fake-1")
    runner = web.AppRunner(fake.server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    fake.write(runner.addresses[0][1])
    living = asyncio.create_task(fake.live())
    try:
        yield fake
        if living.done():
            living.result()
    finally:
        living.cancel()
        fake.server.stopping.set()
        await runner.cleanup()
