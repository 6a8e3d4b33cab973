"""The scheduler as a service: a driver, the inventory, and one that acts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from services.scheduler import (
    applications,
    autoscaler,
    budgets,
    cluster,
    inventory,
    retention,
    trust,
)
from services.scheduler.applications import Applications
from services.scheduler.autoscaler import Autoscaler
from services.scheduler.driver import Driver, Gpu, Tidy
from services.scheduler.drivers import Process, Settings, open_driver
from services.scheduler.drivers.limits import Limits
from services.scheduler.epoch import Epoch
from services.scheduler.eraser import Eraser
from services.scheduler.inventory import Inventory, Source
from services.scheduler.leader import Leader
from services.scheduler.metrics import Metrics
from services.scheduler.nvml import Nvml
from services.scheduler.outputs import MOST, Outputs
from services.scheduler.owners import HALF_LIFE
from services.scheduler.performer import Options
from services.scheduler.queue import values
from services.scheduler.reconcile import Policy
from services.scheduler.retention import Retention
from services.scheduler.scheduler import Scheduler
from services.scheduler.status import Patience
from shared import doorman, ids, service
from shared.config import Misconfigured
from shared.errors import Invalid, Transient
from shared.events import (
    BudgetWritten,
    GpuAppeared,
    GpuReleased,
    GpuRestored,
    JobFailed,
    JobLost,
    JobQueued,
    JobRestarted,
    JobScaled,
    JobStopping,
    JobTerminated,
)
from shared.http import serve
from shared.registry import Credentials
from shared.run import Loop, every
from shared.service import Floor
from shared.target import CLUSTER, HERE, kind, name
from shared.telemetry import CONTENT_TYPE, Telemetry

log = logging.getLogger(__name__)

WAKE = (
    JobQueued,
    JobRestarted,
    JobLost,
    JobScaled,
    JobStopping,
    JobFailed,
    GpuReleased,
    GpuAppeared,
    GpuRestored,
    BudgetWritten,
)
"""The facts after which there may be something to do."""

Seconds = Annotated[float, Meta(ge=0)]
Bytes = Annotated[int, Meta(ge=0)]

TIDY_EVERY: Final = 300.0


class Config(cluster.Config, frozen=True, kw_only=True):
    scheduler_port: int = 8082  # 0: no door
    slipway_home: str = ".slipway"
    target: str = "process"
    replica_memory: Bytes = 0  # of a process that asks for no limit; 0: as much as there is
    replica_disk: Bytes = Limits().disk
    replica_files: Annotated[int, Meta(ge=0)] = Limits().files
    replica_processes: Annotated[int, Meta(ge=0)] = Limits().processes
    plain_for_all: bool = False  # several owners' processes, where nothing keeps them apart
    container_socket: str = ""  # of the container target's engine: a path or a URL
    docker_host: str = ""  # the same, as Docker's own tools know it
    container_gpus: Literal["given", "counted"] = "given"  # counted: containers are given none
    slipway_gpus: str = ""  # declared GPUs, `rtx3090:4,a100:2`; empty: those that are found
    slipway_prices: str = ""  # of a GPU for an hour, `rtx3090:0.5`
    router_url: str = "http://127.0.0.1:8000"
    start_deadline: float = 600.0  # seconds from a job's place to its readiness
    drain: float = 0.5  # seconds that the last requests of a stopping job have
    ping_deadline: float = 60.0  # seconds that a model may listen without serving
    retire: float = 15.0  # seconds that an application's servables outlive their revision
    stop_grace: float = 10.0  # seconds from SIGTERM to SIGKILL
    fair_half_life: Annotated[float, Meta(gt=0)] = HALF_LIFE  # see docs/scheduling.md
    preemption_notice: Seconds = 30.0  # that a job has to give way, once warned
    preemption_kept: Seconds = 60.0  # from a job's place, in which it has not to give way again
    backfill_slack: Seconds = 0.0  # by which those who pass may put off a reserved start
    purge_after: Seconds = retention.AFTER  # that a job rests unused; 0: it is never purged
    purge_notice: Seconds = retention.NOTICE  # before that, in which its owner knows
    look_every: float = 1.0  # seconds between two looks when nothing happens
    inventory_every: float = 10.0
    outputs_most: int = MOST  # bytes that are kept of what a batch job leaves behind
    trusted_keys: str = ""  # a PEM file; empty: every image may start
    registry_auth: str = ""  # a docker-style config.json with logins for registries
    end_replicas: bool = False  # end what runs when this process does, for it to start again later


@asynccontextmanager
async def compose(config: Config, floor: Floor) -> AsyncIterator[Sequence[Loop]]:
    async with AsyncExitStack() as stack:
        try:
            prices = inventory.prices(config.slipway_prices)
            declared = inventory.declared(config.slipway_gpus, name(config.target, "TARGET"))
            keys = trust.keys(config.trusted_keys, config.target)
            credentials = Credentials.read(config.registry_auth)
            driver = await stack.enter_async_context(_opening(config, floor, credentials))
        except Invalid as error:
            raise Misconfigured(f"configuration: {error}") from error
        vet = await stack.enter_async_context(trust.vetting(keys, credentials))
        telemetry = Telemetry(floor.telemetry)
        source = _declared(declared) if declared else _found(config.target, driver)
        metrics = Metrics(telemetry)
        if (walls := getattr(driver, "walls", None)) is not None:  # a cluster's driver has them
            metrics.walls(lambda: walls.stand)
        epoch = Epoch(config.target)
        gpus = Inventory(floor.database, config.target, source, prices, epoch)
        scheduler = Scheduler(
            floor.database,
            driver,
            target=config.target,
            options=Options(
                policy=Policy(start_deadline=config.start_deadline, drain=config.drain),
                queue=values.Policy(
                    notice=config.preemption_notice,
                    kept=config.preemption_kept,
                    slack=config.backfill_slack,
                ),
                half_life=config.fair_half_life,
                patience=Patience(deadline=config.ping_deadline),
                stop_grace=config.stop_grace,
                router_url=config.router_url,
            ),
            metrics=metrics,
            vet=vet,
            outputs=Outputs(floor.blobs, config.outputs_most),
            epoch=epoch,
            keys=doorman.keys(config.doorman_key) if kind(config.target) == CLUSTER else (),
        )
        settler = Applications(
            floor.database, target=config.target, retire=config.retire, epoch=epoch
        )
        scaler = Autoscaler(floor.database, target=config.target, epoch=epoch)
        eraser = Eraser(floor.database, config.target)
        keeper = Retention(
            floor.database,
            target=config.target,
            after=config.purge_after,
            notice=config.purge_notice,
            epoch=epoch,
        )
        leader = Leader(
            config.database_url,
            config.target,
            partial(gpus.act, every=config.inventory_every),
            eraser.act,
            *((every(TIDY_EVERY, driver.tidy),) if isinstance(driver, Tidy) else ()),
            partial(scheduler.act, every=config.look_every),
            partial(settler.act, every=config.look_every),
            every(applications.END_EVERY, settler.end),
            budgets.watching(floor.database),
            every(autoscaler.SCALE_EVERY, scaler.scale),
            every(autoscaler.OLD, scaler.forget),
            every(retention.LOOK_EVERY, keeper.keep),
            epoch=epoch,
        )
        metrics.leads(lambda: leader.acting, epoch)
        # queues of its own, so that one who stands by takes no news from one who acts
        wakes = (
            floor.bus.subscribe(
                ids.new(f"{who}-{config.target}-"),
                [fact.type for fact in facts],
                told,
                lasting=False,
            )
            for who, facts, told in (
                ("scheduler", WAKE, scheduler.on_event),
                ("applications", applications.WAKE, settler.on_event),
                ("inventory", (GpuReleased,), gpus.on_event),
                ("eraser", (JobTerminated,), eraser.on_event),
            )
        )
        loops: list[Loop] = [leader.loop, *wakes]
        if config.scheduler_port:
            loops.append(_door(config, scheduler, leader, telemetry))
        yield loops
        if config.end_replicas:
            await _end_all(driver, config.stop_grace)


def _opening(
    config: Config, floor: Floor, credentials: Credentials
) -> AbstractAsyncContextManager[Driver]:
    settings = Settings(
        container_socket=config.container_socket,
        docker_host=config.docker_host,
        gives_gpus=config.container_gpus == "given",
        credentials=credentials,
        process=Process(limits=_limits(config), plain_for_all=config.plain_for_all),
    )
    if kind(config.target) == CLUSTER:
        told = cluster.kubernetes(config, config.target, config.stop_grace)
        settings = msgspec.structs.replace(settings, kubernetes=told)
    home = Path(config.slipway_home).absolute()
    return open_driver(config.target, home, floor.blobs, settings)


def _limits(config: Config) -> Limits:
    return Limits(
        memory=config.replica_memory,
        disk=config.replica_disk,
        files=config.replica_files,
        processes=config.replica_processes,
    )


async def _end_all(driver: Driver, grace: float) -> None:
    try:
        await asyncio.gather(*(driver.stop(replica, grace) for replica in await driver.observe()))
    except Transient:
        log.warning("what runs may go on running", exc_info=True)


def _declared(gpus: Sequence[Gpu]) -> Source:
    async def source() -> Sequence[Gpu]:
        return gpus

    return source


def _found(target: str, driver: Driver) -> Source:
    """What the driver says; on this machine, what NVIDIA's says too."""
    here = Nvml(target)

    async def source() -> Sequence[Gpu]:
        return await driver.inventory() or (await here() if kind(target) in HERE else ())

    return source


def _door(config: Config, scheduler: Scheduler, leader: Leader, telemetry: Telemetry) -> Loop:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.render(), headers={"Content-Type": CONTENT_TYPE})

    async def ready() -> str | None:
        return scheduler.trouble if leader.acting else None

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    return serve(
        app, host=config.host, port=config.scheduler_port, ready=ready, linger=config.linger
    )


def main() -> None:
    service.main(Config, compose)
