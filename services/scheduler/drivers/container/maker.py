"""Makes a replica's container, and its network: each step may find itself done already.

Names are computed from the replica, so they are the lock: whoever comes second, or again after a
crash, finds what the first has made and goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from services.scheduler.driver import Replica, Workload
from services.scheduler.drivers.container import init, spec
from services.scheduler.drivers.container.engine import Container, Engine, Image, ImageConfig
from services.scheduler.drivers.container.errors import Missing, Rejected, Taken
from services.scheduler.drivers.container.spec import Place
from services.scheduler.drivers.container.walls import Walls
from shared.errors import Transient
from shared.registry.credentials import Credentials

log = logging.getLogger(__name__)

TRIES: Final = 50
PAUSE: Final = 0.1

NO_DISK: Final = ("pquota", "quota", "storage-opt", "storage option", "overlay.size", "xfs")
"""What engines say whose storage can't limit what a container writes."""

CDI: Final = (5, 4)  # the first Podman that gives GPUs over this API; older ones silently don't


class Maker:
    def __init__(
        self, engine: Engine, platform: str, credentials: Credentials, *, gives_gpus: bool
    ) -> None:
        self._engine = engine
        self._platform = platform
        self._credentials = credentials
        self._gives_gpus = gives_gpus
        self._walls = Walls()
        self._disk = True  # whether the engine can limit it, as far as we know

    async def found(self, replica: Replica) -> Container | None:
        try:
            return await self._engine.show(spec.name(self._platform, replica))
        except Missing:
            return None

    async def make(self, workload: Workload, vet: Callable[[], None]) -> Container:
        """Create it, unless it is there, and start it, unless `vet` raises between the two.

        Raises Permanent when it can never start, for instance when its image does not exist.
        """
        place = await self._place(workload)
        reference = _reference(workload)
        image = (await self._image(reference)).config or ImageConfig()
        await self._network(workload.replica, place)
        mark = f"\x1eslipway-{secrets.token_hex(8)}"
        labels = spec.labels(self._platform, workload, mark)
        body = spec.body(image, workload, reference, labels, place)
        try:
            container = await self._create(workload.replica, body)
            folders = spec.folders(workload)
            await self._engine.put(container, spec.files(image, workload), folders)
            if place.kind == "podman" and not place.published:
                await self._walls.stand()
            vet()
            await self._engine.start(container)
            return await self._engine.show(container)
        except Missing as error:  # its network or it itself was removed meanwhile
            raise Transient(str(error)) from error
        except Rejected as error:
            if init.SHELL in str(error):
                raise Rejected(f"its image has no {init.SHELL} to start with: {error}") from error
            if workload.devices:
                raise Rejected(f"its container can't have its GPUs: {error}") from error
            raise

    async def undo(self, replica: Replica) -> None:
        """Remove what was made of one that can never start."""
        found = await self.found(replica)
        if found is not None and not found.state.running:
            await self._engine.remove(found.id, force=False)
        await self.drop_network(replica)

    async def drop_network(self, replica: Replica) -> None:
        """The replica's own, or the one that it shared if it was the last there."""
        ours, one = f"{spec.PLATFORM}={self._platform}", f"{spec.REPLICA}={replica}"
        if (await self._engine.version()).kind == "podman":
            for network in await self._engine.networks(ours, one):
                await self._engine.drop_network(network)
        elif not await self._engine.list(ours):
            for network in await self._engine.networks(ours):
                with suppress(Rejected, Transient):  # somebody has just come
                    await self._engine.drop_network(network)

    async def _place(self, workload: Workload) -> Place:
        version = await self._engine.version()
        wanted = self._gives_gpus and workload.devices
        if wanted and version.kind == "podman" and version.number < CDI:
            raise Rejected(f"Podman {version.version} can't give GPUs to containers; 5.4 can")
        network = spec.network(self._platform, workload.replica, version.kind)
        return Place(
            kind=version.kind,
            network=network["Name"],
            published=await self._engine.remote(),
            gives_gpus=self._gives_gpus,
        )

    async def _image(self, reference: str) -> Image:
        try:
            return await self._engine.image(reference)
        except Missing:
            await self._engine.pull(reference, _told(self._credentials, reference))
            return await self._engine.image(reference)

    async def _network(self, replica: Replica, place: Place) -> None:
        body = spec.network(self._platform, replica, place.kind)
        wanted = [f"{key}={value}" for key, value in body["Labels"].items()]
        if place.network in (await self._engine.networks(*wanted)).values():
            return
        try:
            await self._engine.make_network(body)
        except Taken:  # by another scheduler, a moment ago
            log.debug("the network %s is there already", place.network)

    async def _create(self, replica: Replica, body: Mapping[str, Any]) -> str:
        name = spec.name(self._platform, replica)
        try:
            if not self._disk:
                return await self._engine.create(name, spec.without_disk(body))
            return await self._engine.create(name, body)
        except Taken:
            return await self._others(replica)
        except (Rejected, Transient) as error:
            limited = "StorageOpt" in body["HostConfig"] and self._disk
            if not limited or not any(word in str(error).lower() for word in NO_DISK):
                raise
            log.warning("disk limits are not kept: the engine's storage has none (%s)", error)
            self._disk = False
            return await self._create(replica, body)

    async def _others(self, replica: Replica) -> str:
        """The container that another makes, whose name is taken before it can be found."""
        for _ in range(TRIES):
            if (found := await self.found(replica)) is not None:
                return found.id
            await asyncio.sleep(PAUSE)
        raise Transient(f"the container of {replica} is being made or removed by somebody else")


def _reference(workload: Workload) -> str:
    if not workload.repository:
        raise Rejected("its image is in no registry: containers need one (REGISTRY)")
    return f"{workload.repository}@{workload.image}"


def _told(credentials: Credentials, reference: str) -> Mapping[str, str] | None:
    """Who we are, as an engine tells it to the registry of an image."""
    login = credentials.login(reference.partition("/")[0])
    if login is None:
        return None
    if login.registry_token:
        return {"registrytoken": login.registry_token}
    if login.identity_token:
        return {"identitytoken": login.identity_token}
    return {"username": login.user, "password": login.password}
