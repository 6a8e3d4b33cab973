"""Rings when so many objects are there: a watch of the namespaced objects of one kind."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from tests.cluster.api import Api, Refused


class Bell:
    def __init__(self, api: Api, path: str) -> None:
        self._api = api
        self._path = path
        self._there: dict[str, Any] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(Refused, OSError, TimeoutError):
                found = await self._api.get(self._path)
                self._there = {each["metadata"]["uid"]: each for each in found["items"] or ()}
                self._changed.set()
                await self._follow(found["metadata"]["resourceVersion"])

    async def until(self, count: int, within: float, *, ready: bool = False) -> float:
        """When so many are there, by `time.monotonic`; with `ready`, Deployments that are."""
        async with asyncio.timeout(within):
            while sum(not ready or _ready(each) for each in self._there.values()) != count:
                self._changed.clear()
                await self._changed.wait()
        return time.monotonic()

    async def _follow(self, version: str) -> None:
        async for event in self._api.watch(self._path, version):
            if event["type"] == "ERROR":
                return
            uid = event["object"]["metadata"]["uid"]
            if event["type"] == "DELETED":
                self._there.pop(uid, None)
            else:
                self._there[uid] = event["object"]
            self._changed.set()


def _ready(deployment: Any) -> bool:
    wanted = deployment["spec"].get("replicas", 1)
    return bool(deployment.get("status", {}).get("readyReplicas", 0) == wanted)
