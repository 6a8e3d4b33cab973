"""What people get of the embedded platform once it answers: a few lines, and client.toml."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from shared.run import Loop, pause

FILE: Final = "client.toml"
LOOK: Final = 0.05  # seconds between looks whether it answers


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    home: Path
    api_url: str
    router_url: str
    grpc: str  # host and port
    token: str

    @property
    def text(self) -> str:
        return (
            f"Slipway is up. Its state is in {self.home}; Ctrl-C ends it, the next start goes on.\n"
            f"  API     {self.api_url}   (OpenAPI at /openapi.json)\n"
            f"  router  {self.router_url}\n"
            f"  gRPC    {self.grpc}\n"
            f"  token   {self.token[:12]}…  in {self.home / FILE}, where `slipway` finds it\n"
            "Next: .venv/bin/slipway deploy examples/greeter --wait"
        )


def greet(greeting: Greeting) -> Loop:
    """A loop that greets when both doors answer, and not before: a port may be taken."""

    async def loop(stopping: asyncio.Event) -> None:
        async with aiohttp.ClientSession() as http:
            for url in (greeting.api_url, greeting.router_url):
                while not stopping.is_set() and not await _answers(http, url):
                    await pause(LOOK, stopping)
        if not stopping.is_set():
            keep_for_client(greeting)
            print(greeting.text, flush=True)
            await stopping.wait()

    return loop


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def keep_for_client(greeting: Greeting) -> None:
    """Write client.toml whole or not at all, for its owner's eyes only."""
    path = greeting.home / FILE
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(f'url = "{greeting.api_url}"\ntoken = "{greeting.token}"\n')
        file.write('project = "local/default"\n')
    fresh.replace(path)


def kept_token(home: Path) -> str:
    """The token of an earlier start, "" when there is none."""
    path = home / FILE
    return str(msgspec.toml.decode(path.read_bytes()).get("token", "")) if path.exists() else ""
