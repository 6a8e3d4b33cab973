"""A cluster as its administrator sees it: plain JSON over HTTPS, with nothing of the platform's own.

What tests look at and break has to be looked at and broken by another hand than the one tested.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import yaml

SERVER: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json-patch+json"
LINE: Final = 16 << 20  # bytes of the longest event of a watch


class Refused(Exception):
    """An answer that is none of the 2xx; `status` 0: none came."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status = status


class Api:
    def __init__(self, http: aiohttp.ClientSession, server: str) -> None:
        self._http = http
        self.server = server
        self.calls = 0

    async def get(self, path: str, **query: str) -> Any:
        return msgspec.json.decode(await self.raw("GET", path, query=query))

    async def text(self, path: str) -> str:
        return (await self.raw("GET", path)).decode()

    async def items(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        """All of a list, in one consistent answer."""
        query = {"labelSelector": selector} if selector else {}
        return (await self.get(path, **query))["items"] or []

    async def post(self, path: str, body: Any) -> Any:
        return msgspec.json.decode(await self.raw("POST", path, body))

    async def patch(self, path: str, body: Any, kind: str = MERGE, **query: str) -> Any:
        return msgspec.json.decode(await self.raw("PATCH", path, body, content=kind, query=query))

    async def apply(self, path: str, body: Any, manager: str = "test") -> Any:
        return await self.patch(path, body, SERVER, fieldManager=manager, force="true")

    async def delete(self, path: str, **options: Any) -> None:
        """What is gone already is fine."""
        try:
            await self.raw("DELETE", path, options)
        except Refused as error:
            if error.status not in (404, 409):
                raise

    async def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        self.calls += 1
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._http.request(
                method,
                self.server + path,
                params=query,
                data=data,
                headers={"Content-Type": content},
            ) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Refused(0, f"{type(error).__name__}: {error}") from error
        if answer.status >= 300:
            raise Refused(answer.status, said.decode(errors="replace")[:500])
        return said

    async def watch(self, path: str, version: str, **query: str) -> AsyncIterator[Any]:
        """Events after `version`, until the server ends it."""
        self.calls += 1
        asked = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "300", **query}
        async with self._http.get(
            self.server + path, params=asked, timeout=aiohttp.ClientTimeout(total=None)
        ) as answer:
            if answer.status != 200:
                raise Refused(answer.status, (await answer.text())[:500])
            async for line in answer.content:
                yield msgspec.json.decode(line)


@asynccontextmanager
async def api(kubeconfig: Path | None = None) -> AsyncIterator[Api]:
    """By a kubeconfig's current context; `None`: that of KUBECONFIG."""
    told = yaml.safe_load((kubeconfig or Path(os.environ["KUBECONFIG"])).read_text())
    contexts = {each["name"]: each["context"] for each in told["contexts"]}
    context = contexts[told["current-context"]]
    cluster = {each["name"]: each["cluster"] for each in told["clusters"]}[context["cluster"]]
    user = {each["name"]: each["user"] for each in told["users"]}[context["user"]]
    secure = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"), cadata=_text(cluster, "certificate-authority")
    )
    with tempfile.TemporaryDirectory() as folder:
        if certificate := _file(user, "client-certificate", folder):
            secure.load_cert_chain(certificate, _file(user, "client-key", folder))
    token = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=secure, limit=0),
        timeout=aiohttp.ClientTimeout(total=30, sock_connect=5),
        headers={"User-Agent": "slipway-tests", **token},
        read_bufsize=LINE,
    ) as http:
        yield Api(http, cluster["server"].rstrip("/"))


def _text(told: Mapping[str, str], name: str) -> str | None:
    data = told.get(f"{name}-data")
    return base64.b64decode(data).decode() if data else None


def _file(told: Mapping[str, str], name: str, folder: str) -> str | None:
    if data := _text(told, name):
        path = Path(folder) / name
        path.write_text(data)
        return str(path)
    return told.get(name)
