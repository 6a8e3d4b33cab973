"""The API, wired: a door for people, and a broom for answers that nobody will ask for again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.api import answers
from services.api.context import Context
from services.api.formats.hydrosphere import runtime
from services.api.line import line
from services.api.metrics import Metrics
from services.api.routes import application
from shared import config, http, service, target
from shared.config import Misconfigured
from shared.database.pool import Busy
from shared.errors import Invalid, Transient
from shared.git import Trusted
from shared.run import Loop, every
from shared.service import Floor


class Config(config.Config, frozen=True, kw_only=True):
    api_port: int = 8080
    router_url: str = "http://127.0.0.1:8000"  # as people reach the router
    upload_limit: int = 8 << 30  # bytes
    project_limit: int = 1 << 40  # bytes of a project's uploads; 0: any number
    targets: str = "process"  # those that a deployment may name, separated by commas
    streams: int = 200  # followers at a time
    builds_per_owner: int = 100  # versions that may wait at a time; 0: any number
    git_private_hosts: str = ""  # as the builder has it: hosts that sources may come from
    model_runtimes: str = ""  # JSON: pattern of images served by the platform -> base image


@asynccontextmanager
async def compose(config: Config, floor: Floor) -> AsyncIterator[Sequence[Loop]]:
    try:
        targets = target.names(config.targets, "TARGETS")
        runtimes = runtime.known(config.model_runtimes, "MODEL_RUNTIMES")
    except Invalid as error:
        raise Misconfigured(f"configuration: {error}") from error
    context = Context(
        database=floor.database,
        blobs=floor.blobs,
        router_url=config.router_url,
        upload_limit=config.upload_limit,
        targets=targets,
        streams=config.streams,
        builds_per_owner=config.builds_per_owner,
        project_limit=config.project_limit,
        trusted=Trusted.read(config.git_private_hosts),
        runtimes=runtimes,
    )

    metrics = Metrics(floor.telemetry)

    async def ready() -> str | None:
        try:
            await floor.database.value("SELECT 1")
        except Busy as error:
            return str(error)
        except Transient:
            return "no database"
        return None

    door = http.serve(
        application(context, metrics),
        host=config.host,
        port=config.api_port,
        ready=ready,
        linger=config.linger,
        grace=config.grace / 2,
        telemetry=metrics,
        line=line,
    )
    yield [door, every(600.0, answers.forget(floor.database))]


def main() -> None:
    service.main(Config, compose)
