"""A package index of our own on loopback, with a password if it is given one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web


class Shelf:
    """Serves the wheels in a folder, as they are at the moment of asking."""

    def __init__(self, folder: Path, user: str = "") -> None:
        self.folder, self.user = folder, user
        self.asked: list[str] = []  # names of packages
        self.served: list[str] = []  # names of files
        self.address = ""
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def place(self) -> str:
        """Where it is, as a pip.conf names it."""
        return f"http://{self.user}{'@' if self.user else ''}{self.address}/simple/"

    def conf(self, key: str = "extra-index-url") -> str:
        return f"[global]\n{key} = {self.place}\ntrusted-host = 127.0.0.1\n"

    def _refusal(self, request: web.Request) -> web.Response | None:
        wanted = "Basic " + base64.b64encode(self.user.encode()).decode()
        if self.user and request.headers.get("Authorization") != wanted:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return None

    async def _page(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        if refusal := self._refusal(request):
            return refusal
        found = [
            path
            for path in sorted(self.folder.iterdir())
            if path.name.partition("-")[0].replace("_", "-") == name
        ]
        links = (
            f'<a href="/files/{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>'
            for path in found
        )
        return web.Response(
            text=f"<html><body>{''.join(links)}</body></html>",
            content_type="text/html",
            status=200 if found else 404,
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self.served.append(request.match_info["name"])
        return self._refusal(request) or web.FileResponse(
            self.folder / request.match_info["name"], headers={"Cache-Control": "no-cache"}
        )


@asynccontextmanager
async def shelf(folder: Path, user: str = "") -> AsyncIterator[Shelf]:
    found = Shelf(folder, user)
    app = web.Application()
    app.router.add_get("/simple/{name}/", found._page)
    app.router.add_get("/files/{name}", found._file)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        found.address = f"{host}:{port}"
        yield found
    finally:
        await runner.cleanup()
