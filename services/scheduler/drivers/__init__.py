"""Which driver speaks to which kind of target: one line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from services.scheduler.driver import Driver
from services.scheduler.drivers.fake import FakeDriver
from shared.blobs import Blobs
from shared.errors import Invalid
from shared.registry.credentials import Credentials


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What some targets are told beside what all of them get."""

    container_socket: str = ""  # a path or a URL; empty: `docker_host`, else where it usually is
    docker_host: str = ""
    gives_gpus: bool = True  # to containers; else they are only counted
    credentials: Credentials = msgspec.field(default_factory=Credentials)  # for registries


Opener = Callable[[Path, Blobs, Settings], AbstractAsyncContextManager[Driver]]
"""Takes the platform's folder, the images, and settings; closing it leaves what runs running."""


def _process(home: Path, blobs: Blobs, _: Settings) -> AbstractAsyncContextManager[Driver]:
    from services.scheduler.drivers.process import open_process  # only Linux can

    return open_process(home, blobs)


def _container(home: Path, _: Blobs, settings: Settings) -> AbstractAsyncContextManager[Driver]:
    from services.scheduler.drivers.container import open_container, socket_url

    url = socket_url(settings.container_socket, settings.docker_host)
    return open_container(home, url, settings.credentials, gives_gpus=settings.gives_gpus)


OPENERS: Mapping[str, Opener] = {
    "process": _process,
    "container": _container,
    "fake": lambda home, blobs, settings: FakeDriver.open(),
}


def open_driver(
    target: str, home: Path, blobs: Blobs, settings: Settings | None = None
) -> AbstractAsyncContextManager[Driver]:
    """Raises Invalid when there is no driver for `target`, or its settings are wrong."""
    if target not in OPENERS:
        raise Invalid("TARGET", f"is none of {', '.join(OPENERS)}")
    return OPENERS[target](home, blobs, settings or Settings())
