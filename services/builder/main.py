"""Wires the builder: the only file here that knows which parts are real."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec
from aiohttp import web

from services.builder import engines, machine, place, stages
from services.builder.base.bases import Bases
from services.builder.build import MODEL_BASE, Build, Workshop
from services.builder.builder import Builder
from services.builder.cache import Cache
from services.builder.claims import Built, Claim
from services.builder.collect import collect
from services.builder.collect.collect import Keep
from services.builder.depot import Depot
from services.builder.engines import Engine
from services.builder.engines.buildah import Buildah
from services.builder.engines.store import Store
from services.builder.git import main as fetching
from services.builder.ground import ground
from services.builder.logbook import Write
from services.builder.metrics import BuilderTelemetry
from services.builder.parts import Tools
from services.builder.profiles.meter import DriftMeter
from services.builder.profiles.profiling import Profiling
from services.builder.python import indexes
from services.builder.sandbox import gates
from services.builder.stages import Limits
from shared import config, http, ids, service
from shared.buckets import Buckets
from shared.config import Misconfigured
from shared.errors import Invalid, Transient
from shared.events import VersionFailed, VersionSubmitted
from shared.registry import Credentials, Registries, parse
from shared.run import Loop
from shared.service import Floor
from shared.signing import Signer, read_signer

AFTER = 30.0  # seconds after which an installer ends by itself that nobody ended in time


class Config(config.Config, frozen=True, kw_only=True):
    builder_port: int = 8081  # 0: no door
    work_dir: str = ".slipway/build"  # scratch and the packages' cache
    at_once: int = 2  # versions that are built at a time
    install_timeout: float = 900.0  # seconds for one installation
    build_patience: float = 3600.0  # seconds that trouble may last before a version fails with it
    git_private_hosts: str = ""  # `host` or `host:port`, separated by commas
    package_private_hosts: str = ""  # in the same words: indexes that projects may name
    git_limit: int = 2 << 30  # bytes of one commit, as it comes and as an archive
    git_timeout: float = 300.0  # seconds to fetch one
    stage_timeouts: str = ""  # seconds of other steps, such as `pack=3600,push=600`
    registry: str = ""  # `host[:port]/prefix` where images are pushed to
    registry_auth: str = ""  # a docker-style config.json with logins
    base_registry: str = ""  # `host[:port][/prefix]` of base images that name none
    base_images: str = "{}"  # JSON: name of an environment -> its base image
    model_base: str = MODEL_BASE  # the base image, or environment, of models that name none
    signing_key: str = ""  # a PEM file; empty: what is said about images is not signed
    collect_every: float = 3600.0  # seconds between two times that what nobody needs is removed
    keep_blobs: float = 1.0  # days, after they were written
    keep_uploads: float = 7.0  # days that no version uses them
    keep_layers: float = 30.0  # days that no build uses them
    build_engine: Literal["buildah", "none"] = "buildah"  # for what has to run inside an image
    install_memory: int = 4 << 30  # bytes that it may have
    install_disk: int = 16 << 30  # bytes that it may write
    s3_endpoint: str = ""  # URL of what speaks S3, where training data may be; "": nowhere
    s3_region: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_buckets: str = "{}"  # JSON: bucket -> projects that may have it read, `*` for all


@asynccontextmanager
async def compose(config: Config, floor: Floor) -> AsyncIterator[Sequence[Loop]]:
    work = Path(config.work_dir).absolute()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(ground(work))
        telemetry = BuilderTelemetry(floor.telemetry)
        registries = await stack.enter_async_context(
            Registries.open(Credentials.read(config.registry_auth), trusted=trusted(config))
        )
        shop = workshop(config, floor, registries, telemetry)

        async def make(held: Claim, folder: Path, write: Write) -> Built:
            return await Build(shop, held, folder, write).run()

        builder = Builder(
            floor.database,
            make,
            folder,
            at_once=config.at_once,
            drain=config.grace / 2,
            patience=config.build_patience,
            telemetry=telemetry,
        )
        bus = floor.bus
        yield [
            builder.loop,
            bus.subscribe("builder", [VersionSubmitted.type], builder.on_version_submitted),
            # every builder hears it, since any may have the version
            bus.subscribe(
                ids.new("builder-"), [VersionFailed.type], builder.on_version_failed, lasting=False
            ),
            *fetching.loops(
                floor,
                folder,
                private_hosts=config.git_private_hosts,
                limit=config.git_limit,
                timeout=config.git_timeout,
            ),
            collect.loop(floor, kept(config), registries, shop.depot, config.collect_every),
            Profiling(floor.database, floor.blobs, buckets(config), folder).loop,
            DriftMeter(floor.database, telemetry).loop,
            *door(config, floor, telemetry),
        ]


def door(config: Config, floor: Floor, telemetry: BuilderTelemetry) -> Sequence[Loop]:
    """For operators; none when its port is 0. Ready means that the database answers."""
    if config.builder_port == 0:
        return []

    async def ready() -> str | None:
        try:
            await floor.database.value("SELECT 1")
        except Transient as error:
            return str(error)
        return None

    return [
        http.serve(
            web.Application(),
            host=config.host,
            port=config.builder_port,
            ready=ready,
            linger=config.linger,
            telemetry=telemetry,
        )
    ]


def limits(config: Config) -> Limits:
    try:
        most = config.install_timeout
        return stages.limits(config.stage_timeouts, lock=most, packages=most)
    except ValueError as error:
        raise Misconfigured(f"configuration: STAGE_TIMEOUTS: {error}") from error


def buckets(config: Config) -> Buckets:
    try:
        allowed = msgspec.json.decode(config.s3_buckets, type=dict[str, tuple[str, ...]])
    except msgspec.DecodeError as error:
        raise Misconfigured(
            f'configuration: S3_BUCKETS: is JSON such as {{"training": ["ann/house"]}}: {error}'
        ) from error
    login = (config.s3_region, config.s3_access_key, config.s3_secret_key)
    return Buckets(config.s3_endpoint, *login, allowed)


def kept(config: Config) -> Keep:
    try:
        return Keep(blobs=config.keep_blobs, uploads=config.keep_uploads, layers=config.keep_layers)
    except ValueError as error:
        raise Misconfigured(f"configuration: KEEP_…: {error}") from error


def trusted(config: Config) -> frozenset[str]:
    """The registries that the operator named, which may have private addresses."""
    places = (config.registry, config.base_registry)
    own = {place.partition("/")[0].lower() for place in places if place}
    try:
        bases = {parse(base, config.base_registry).registry for base in named(config).values()}
    except Invalid as error:
        raise Misconfigured(f"configuration: BASE_IMAGES: {error.message}") from error
    return frozenset(own | bases)


def named(config: Config) -> dict[str, str]:
    try:
        return msgspec.json.decode(config.base_images, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise Misconfigured(
            "configuration: BASE_IMAGES: is a JSON object such as "
            f'{{"DEEPLEARNING_PY310": "python:3.10"}}: {error}'
        ) from error


def signer(config: Config) -> Signer | None:
    try:
        return read_signer(Path(config.signing_key)) if config.signing_key else None
    except Invalid as error:
        raise Misconfigured(f"configuration: {error}") from error


def engine(config: Config, seconds: float) -> Engine | None:
    if config.build_engine == "none":
        return None
    folder = Path(config.work_dir).absolute() / "bases"
    return Buildah(
        store=Store(
            folder=folder,
            credentials=Path(config.registry_auth) if config.registry_auth else None,
        ),
        limits=engines.Limits(
            seconds=seconds, memory=config.install_memory, disk=config.install_disk
        ),
        gates=gates.of_machine(
            indexes.settings(os.environ, sys.base_prefix)
            | {"": " ".join(machine.addresses(config.package_private_hosts))}
        ),
        proxies=gates.proxies(os.environ),
    )


def workshop(
    config: Config, floor: Floor, registries: Registries, telemetry: BuilderTelemetry
) -> Workshop:
    steps = limits(config)
    cache = Path(config.work_dir).absolute() / "cache"
    installer = machine.installer(
        cache, steps.packages + AFTER, private_hosts=config.package_private_hosts
    )
    tools = Tools(
        blobs=floor.blobs,
        cache=Cache(floor.database, floor.blobs),
        installer=installer,
        indexes=indexes.identity(installer.environment),
        runtime=machine.runtime_files(),
        engine=engine(config, steps.install),
    )
    return Workshop(
        tools=tools,
        host=machine.host(),
        bases=Bases(
            registries,
            tools.cache,
            floor.blobs,
            named=named(config),
            registry=config.base_registry,
            place=place.read(config.registry) if config.registry else None,
            timeout=steps.base,
        ),
        model_base=config.model_base,
        depot=Depot(registries, floor.blobs, config.registry) if config.registry else None,
        signer=signer(config),
        limits=steps,
        telemetry=telemetry,
    )


def main() -> None:
    service.main(Config, compose)
