"""The embedded platform: all four services in one process, with a PostgreSQL of its own.

`make up` runs it. State lives in one folder; a second start finds everything again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import msgspec
import uvloop

import services.api.main as api
import services.builder.main as builder
import services.router.main as router
import services.scheduler.main as scheduler
from services.api.first import first_token
from services.greeting import Greeting, greet, kept_token
from shared import garbage, heap, log
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import Misconfigured, read
from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database
from shared.image import has_base
from shared.outbox import relay
from shared.run import Loop, run
from shared.service import Floor
from shared.target import CLUSTER, kind
from shared.telemetry import FloorTelemetry
from shared.watchdog import watchdog


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """The few settings that people give; the services' own go through as they are."""

    slipway_home: str = ".slipway"
    host: str = "127.0.0.1"
    api_port: int = 8080
    router_port: int = 8000
    router_grpc_port: int = 9090
    router_url: str = ""  # as people reach the router, where that is not by host and port
    target: str = "process"
    registry: str = ""
    doorman_key: str = ""  # where the target is a cluster; empty: one is made and kept
    grace: float = 20.0


def settled(settings: Embedded, home: Path, database_url: str) -> dict[str, str]:
    """What the services read in place of the environment."""
    if has_base(settings.target) and not settings.registry:
        raise Misconfigured(
            f"configuration: REGISTRY is empty; the target {settings.target} needs a registry for "
            "its images, such as registry.example/team"
        )
    cluster = kind(settings.target) == CLUSTER
    return {
        **os.environ,
        **({"DOORMAN_KEY": settings.doorman_key or kept_key(home)} if cluster else {}),
        "TARGETS": settings.target,
        "DATABASE_URL": database_url,
        "AMQP_URL": "",
        "BLOBS_URL": f"file:{home / 'blobs'}",
        "SLIPWAY_HOME": str(home),
        "WORK_DIR": str(home / "build"),
        "ROUTER_URL": settings.router_url or f"http://{settings.host}:{settings.router_port}",
        "BUILDER_PORT": "0",
        "SCHEDULER_PORT": "0",
        # nothing is left running behind a Ctrl-C, but a cluster is there for what should go on
        "END_REPLICAS": "false" if cluster else "true",
    }


def kept_key(home: Path) -> str:
    """What only our router and our doormen know: made once, and the same at every later start."""
    path = home / "doorman.key"
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        fresh.rename(path)
    return path.read_text()


async def serve(settings: Embedded, home: Path, database_url: str) -> None:
    """Run everything until SIGTERM or SIGINT."""
    environ = settled(settings, home, database_url)
    async with AsyncExitStack() as stack:  # closed in the reverse order
        enter = stack.enter_async_context
        database = await enter(Database.open(database_url, size=20))
        await migrate(database)
        telemetry = FloorTelemetry()
        bus = LocalBus(telemetry=telemetry)
        floor = Floor(database, bus, Blobs.open(environ["BLOBS_URL"]), telemetry)
        greeting = Greeting(
            home=home,
            api_url=f"http://{settings.host}:{settings.api_port}",
            router_url=f"http://{settings.host}:{settings.router_port}",
            grpc=f"{settings.host}:{settings.router_grpc_port}",
            token=kept_token(home) or await first_token(database),
        )
        loops: list[Loop] = [
            relay(database_url, database, bus, telemetry=telemetry),
            watchdog(telemetry),
            *await enter(api.compose(read(api.Config, environ), floor)),
            *await enter(builder.compose(read(builder.Config, environ), floor)),
            *await enter(scheduler.compose(read(scheduler.Config, environ), floor)),
            *await enter(router.compose(read(router.Config, environ), floor)),
            greet(greeting),
        ]
        await run(*loops, grace=settings.grace)


@contextmanager
def claimed(home: Path) -> Iterator[None]:
    """The folder is ours alone while this lasts. Raises Misconfigured when it is another's."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)  # PostgreSQL passes through it as a user of its own
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured(
                f"a platform runs in {home} already; stop it, or set SLIPWAY_HOME"
            ) from None
        yield


def taken_port(error: BaseException) -> str | None:
    """What to say when the trouble is a port that somebody else has."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(taken_port, error.exceptions)), None)
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        settings = "API_PORT, ROUTER_PORT and ROUTER_GRPC_PORT"
        return f"{error.strerror}; choose other ports with {settings}"
    return None


def main() -> None:
    log.configure(os.environ.get("LOG_LEVEL", "WARNING"))
    heap.keep()
    garbage.settle()
    try:
        settings = read(Embedded, os.environ)
        home = Path(settings.slipway_home).absolute()
        with claimed(home), postgres(home / "postgres") as url:
            uvloop.run(serve(settings, home, url))
    except Misconfigured as error:
        print(f"slipway: {error}", file=sys.stderr)
        raise
    except KeyboardInterrupt:  # before there was anything to end
        sys.exit(130)
    except (ExceptionGroup, OSError) as error:
        if (said := taken_port(error)) is None:
            raise
        print(f"slipway: {said}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
