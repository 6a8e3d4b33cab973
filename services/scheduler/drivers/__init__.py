"""Which driver speaks to which kind of target: one line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

import msgspec

from services.scheduler.driver import Driver
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.drivers.limits import Limits
from shared import target as targets
from shared.blobs import Blobs
from shared.endpoint import Resources
from shared.registry.credentials import Credentials


class Kubernetes(msgspec.Struct, frozen=True, kw_only=True):
    """What a target that is a cluster is told."""

    kubeconfig: str = ""  # a file; empty: the cluster that we run in
    context: str = ""  # of that file; empty: its current one
    namespace: str = "slipway-workloads"  # where replicas are; it exists
    platform: str = "slipway"  # whose replicas: two platforms may share a namespace
    target: str = "kubernetes"
    doorman_image: str = ""  # `registry/name@digest`, as nodes pull it
    doorman_key: str = ""  # of shared.doorman.keys, the first
    grace: float = 10.0  # seconds from SIGTERM to SIGKILL
    drain: float = 5.0  # seconds before SIGTERM when a pod is ended by others
    allow_root: bool = False  # images whose user is root
    defaults: Resources | None = None  # of whoever asks for none; None: as the manifests have it
    routers: Mapping[str, str] | None = None  # labels of the routers' pods
    schedulers: Mapping[str, str] | None = None  # and of the schedulers'
    router_namespace: Mapping[str, str] | None = None  # labels of their namespace
    router_networks: tuple[str, ...] = ()  # of routers that are no pods
    dns_networks: tuple[str, ...] = ()  # of name servers beside kube-dns; none: usual ones
    closed_networks: tuple[str, ...] = ()  # that replicas must not reach, beside private ones
    claims: Mapping[str, tuple[str, ...]] = {}  # volume claim -> projects that may mount it
    network_policies: Literal["warn", "required", "unasked"] = "warn"
    """Where the cluster enforces none: say so, or let nothing start. `unasked`: do not look."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What a target of this machine's processes is told."""

    limits: Limits = Limits()  # of whoever asks for none
    plain_for_all: bool = False  # where nothing keeps owners apart, replicas of all of them start


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What some targets are told beside what all of them get."""

    container_socket: str = ""  # a path or a URL; empty: `docker_host`, else where it usually is
    docker_host: str = ""
    gives_gpus: bool = True  # to containers; else they are only counted
    credentials: Credentials = msgspec.field(default_factory=Credentials)  # for registries
    process: Process = Process()
    kubernetes: Kubernetes = Kubernetes()


Opener = Callable[[Path, Blobs, Settings], AbstractAsyncContextManager[Driver]]
"""Takes the platform's folder, the images, and settings; closing it leaves what runs running."""


def _process(home: Path, blobs: Blobs, settings: Settings) -> AbstractAsyncContextManager[Driver]:
    from services.scheduler.drivers.process import open_process  # only Linux can

    return open_process(
        home,
        blobs,
        hidden=[blobs.folder] if blobs.folder else [],
        limits=settings.process.limits,
        plain_for_all=settings.process.plain_for_all,
    )


def _container(home: Path, _: Blobs, settings: Settings) -> AbstractAsyncContextManager[Driver]:
    from services.scheduler.drivers.container import open_container, socket_url

    url = socket_url(settings.container_socket, settings.docker_host)
    return open_container(home, url, settings.credentials, gives_gpus=settings.gives_gpus)


def _kubernetes(_: Path, __: Blobs, settings: Settings) -> AbstractAsyncContextManager[Driver]:
    # its client library is large, and nobody else needs it
    from services.scheduler.drivers.kubernetes.open import open_kubernetes

    return open_kubernetes(settings.kubernetes, settings.credentials)


OPENERS: Mapping[targets.Kind, Opener] = {
    "process": _process,
    "container": _container,
    "fake": lambda home, blobs, settings: FakeDriver.open(),
    "kubernetes": _kubernetes,
}


def open_driver(
    target: str, home: Path, blobs: Blobs, settings: Settings | None = None
) -> AbstractAsyncContextManager[Driver]:
    """Any target that is no kind of its own is a cluster. Raises Invalid for wrong settings."""
    return OPENERS[targets.kind(target)](home, blobs, settings or Settings())
