"""The embedded platform: all four services in one process, with a PostgreSQL of its own.

`make up` runs it. State lives in one folder; a second start finds everything again.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import uvloop

import services.api.main as api
import services.builder.main as builder
import services.router.main as router
import services.scheduler.main as scheduler
from services.api.first import first_token
from shared import log
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import Misconfigured, read
from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database
from shared.outbox import relay
from shared.run import Loop, run
from shared.service import Floor
from shared.telemetry import FloorTelemetry


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """The few settings that people give; the services' own go through as they are."""

    slipway_home: str = ".slipway"
    host: str = "127.0.0.1"
    api_port: int = 8080
    router_port: int = 8000
    grace: float = 20.0


async def serve(settings: Embedded, home: Path, database_url: str) -> None:
    """Run everything until SIGTERM or SIGINT."""
    environ = {
        **os.environ,
        "DATABASE_URL": database_url,
        "AMQP_URL": "",
        "BLOBS_URL": f"file:{home / 'blobs'}",
        "SLIPWAY_HOME": str(home),
        "WORK_DIR": str(home / "build"),
        "ROUTER_URL": os.environ.get("ROUTER_URL")
        or f"http://{settings.host}:{settings.router_port}",
        "BUILDER_PORT": "0",
        "SCHEDULER_PORT": "0",
        "END_REPLICAS": "true",  # nothing is left running behind a Ctrl-C; the next start goes on
    }
    async with AsyncExitStack() as stack:  # closed in the reverse order
        database = await stack.enter_async_context(Database.open(database_url, size=20))
        await migrate(database)
        telemetry = FloorTelemetry()
        bus = LocalBus(telemetry=telemetry)
        floor = Floor(database, bus, Blobs.open(environ["BLOBS_URL"]), telemetry)
        loops: list[Loop] = []
        loops += await stack.enter_async_context(api.compose(read(api.Config, environ), floor))
        loops += await stack.enter_async_context(
            builder.compose(read(builder.Config, environ), floor)
        )
        loops += await stack.enter_async_context(
            scheduler.compose(read(scheduler.Config, environ), floor)
        )
        loops += await stack.enter_async_context(
            router.compose(read(router.Config, environ), floor)
        )
        token = kept_token(home / "client.toml") or await first_token(database)
        api_url = f"http://{settings.host}:{settings.api_port}"
        keep_for_client(home / "client.toml", api_url, token)
        announce(settings, home, token)
        outbox = relay(database_url, database, bus, telemetry=telemetry)
        await run(outbox, *loops, grace=settings.grace)


def keep_for_client(path: Path, url: str, token: str) -> None:
    """Write client.toml whole or not at all, for its owner's eyes only."""
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(f'url = "{url}"\ntoken = "{token}"\nproject = "local/default"\n')
    fresh.replace(path)


def kept_token(path: Path) -> str:
    """The token of an earlier start, "" when there is none."""
    return str(msgspec.toml.decode(path.read_bytes()).get("token", "")) if path.exists() else ""


def announce(settings: Embedded, home: Path, token: str) -> None:
    print(
        f"Slipway is up. State is in {home}; after Ctrl-C the next start goes on.\n"
        f"  API     http://{settings.host}:{settings.api_port}   (OpenAPI at /openapi.json)\n"
        f"  router  http://{settings.host}:{settings.router_port}\n"
        f"  token   {token[:12]}…  in {home / 'client.toml'}, where `slipway` finds it\n"
        f"Next: .venv/bin/slipway deploy examples/greeter --wait",
        flush=True,
    )


def main() -> None:
    log.configure(os.environ.get("LOG_LEVEL", "WARNING"))
    try:
        settings = read(Embedded, os.environ)
        home = Path(settings.slipway_home).absolute()
        home.mkdir(
            parents=True, exist_ok=True, mode=0o711
        )  # PostgreSQL passes as a user of its own
        with postgres(home / "postgres") as url:
            uvloop.run(serve(settings, home, url))
    except Misconfigured as error:
        print(f"slipway: {error}", file=sys.stderr)
        raise
    except KeyboardInterrupt:  # before there was anything to end
        sys.exit(130)


if __name__ == "__main__":
    main()
