"""What an image's own configuration says, from its registry: who runs in it, and what."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

import msgspec

from services.scheduler.driver import Refused, Workload
from shared import image
from shared.errors import Invalid, Permanent
from shared.registry import NotFound, Reference, parse
from shared.registry.manifests import Resolved

KEPT: Final = 512


class Registry(Protocol):
    async def manifest(self, repository: Reference, digest: str) -> Resolved: ...

    async def read(self, repository: Reference, blob: image.Descriptor) -> bytes: ...


class _Config(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: tuple[str, ...] | None = None
    working_dir: str | None = None
    user: str | None = None


class _Image(msgspec.Struct, frozen=True, kw_only=True):
    config: _Config | None = None


class Images:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: OrderedDict[str, image.ContainerConfig] = OrderedDict()

    async def config(self, workload: Workload) -> image.ContainerConfig | Refused:
        """Raises Transient when the registry does not answer."""
        digest = workload.image
        if digest not in self._known:
            found = await self._read(workload)
            if isinstance(found, Refused):
                return found
            self._known[digest] = found
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(digest)
        return self._known[digest]

    async def _read(self, workload: Workload) -> image.ContainerConfig | Refused:
        if not workload.repository:
            return Refused("its image is in no registry: a cluster needs one (REGISTRY)")
        try:
            repository = parse(workload.repository)
            found = await self._registry.manifest(repository, workload.image)
            content = await self._registry.read(repository, found.manifest.config)
            config = msgspec.json.decode(content, type=_Image).config or _Config()
        except NotFound as error:
            return Refused(f"its image is not in the registry: {error}")
        except (Permanent, Invalid) as error:
            return Refused(f"its image can't be had: {error}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Refused("its image has a configuration that can't be read")
        return image.ContainerConfig(
            entrypoint=(*(config.entrypoint or ()), *(config.cmd or ())),
            env=config.env or (),
            working_dir=config.working_dir or "/",
            user=config.user or "",
        )
