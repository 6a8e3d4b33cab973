"""Base images: found once by their owners' name, kept to by digest, and looked into.

A look reads every byte of an image, so it is made once for a digest and kept, for all projects:
what an image is does not depend on who asks. Whether somebody may have it is asked each time, of
its registry.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from services.builder import recipe
from services.builder.base import look as looks
from services.builder.base import target
from services.builder.base.feed import Feed, read_by
from services.builder.base.look import Look
from services.builder.base.rootfs import RootFs
from services.builder.base.scan import Found, Spent, scan
from services.builder.cache import Cache
from services.builder.place import Place
from services.builder.recipe import Host
from shared import image
from shared.blobs import Blobs, digest_of
from shared.errors import Invalid, Transient
from shared.registry import Damaged, Denied, NotFound, Reference, Registries, Resolved, parse

LOOK: Final = 1
"""Part of every look's key; it grows when a look at the same image shall tell other things."""

ENVIRONMENT: Final = re.compile(r"[A-Z][A-Z0-9_]*")
"""What an environment is called, and no image: those are in lower case."""
MOST_LAYERS: Final = 100  # engines stop at 127, and ours come on top
PACKED: Final = 40 << 30  # bytes of all layers as the registry has them
CONFIG: Final = 8 << 20
AT_ONCE: Final = 2  # looks; each holds what it keeps in memory
LAYERS: Final = ("tar", "tar+gzip", "tar.gzip", "tar+zstd", "tar.zstd")
OURS: Final = "/slipway"


class Base(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # as its owner wrote it
    reference: Reference  # by digest
    digest: str
    manifest: image.Manifest
    config: image.Config
    look: Look

    @property
    def host(self) -> Host:
        """What packages and the code are for. Its `python` is empty where there is none."""
        return target.host_of(self.look, self.config.architecture)


class _Container(msgspec.Struct, rename="pascal"):
    """An image's config as others write it."""

    env: list[str] | None = None
    working_dir: str | None = None
    user: str | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    labels: dict[str, str] | None = None
    volumes: dict[str, msgspec.Raw] | None = None


class _History(msgspec.Struct):
    created: str | None = None
    created_by: str | None = None
    empty_layer: bool | None = None


class _Config(msgspec.Struct):
    architecture: str
    os: str
    rootfs: image.RootFs
    config: _Container | None = None
    created: str | None = None
    history: list[_History] | None = None


class Bases:
    """`named` are the platform's environments, `registry` is where short names are looked for.

    `place` is where the platform keeps what it builds: every owner's own, though one login reads
    it all.
    """

    def __init__(
        self,
        registries: Registries,
        cache: Cache,
        blobs: Blobs,
        *,
        named: Mapping[str, str],
        registry: str = "",
        place: Place | None = None,
        timeout: float = 1800.0,
    ) -> None:
        self._registries, self._cache, self._blobs = registries, cache, blobs
        self._named, self._registry, self._timeout = dict(named), registry, timeout
        self._place = place
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._few = asyncio.Semaphore(AT_ONCE)

    async def find(self, name: str, platform: image.Platform, owner: str = "") -> Base:
        """The image that `name` means now. Raises Invalid for what `owner` can't build on."""
        try:
            reference = self.reference(name)
            self._check_owner(name, reference, owner)
            resolved = await self._registries.resolve(reference, platform)
            check(resolved)
            config = await self._config(resolved, platform)
            look = await self._look(resolved, config)
        except (NotFound, Denied, Damaged) as error:
            raise Invalid("image", str(error)) from error
        return Base(
            name=name,
            reference=resolved.reference,
            digest=resolved.reference.digest,
            manifest=resolved.manifest,
            config=config,
            look=look,
        )

    def reference(self, name: str) -> Reference:
        """Raises Invalid for a name that is neither an environment nor a reference."""
        try:
            return parse(self._named.get(name, name), self._registry)
        except Invalid as error:
            if name in self._named or not (self._named or ENVIRONMENT.fullmatch(name)):
                raise
            why = "is no environment" if ENVIRONMENT.fullmatch(name) else error.message
            known = "are not set up (BASE_IMAGES); name an image, such as python:3.11"
            if self._named:
                known = f"are {', '.join(sorted(self._named))[:400]}"
            raise Invalid("image", f"{why}; the environments of this platform {known}") from error

    def _check_owner(self, name: str, reference: Reference, owner: str) -> None:
        if name in self._named or self._place is None:
            return
        if self._place.owner_of(reference) not in (None, owner):
            raise Invalid("image", "is where this platform keeps the images of another owner")

    async def _config(self, resolved: Resolved, platform: image.Platform) -> image.Config:
        wanted = resolved.manifest.config

        async def fetch() -> bytes:
            body = await self._registries.read(resolved.reference, wanted, limit=CONFIG)
            if digest_of(body) != wanted.digest:
                raise Damaged(f"{resolved.reference}: its config is not the one that it names")
            return body

        body = await self._kept(recipe.key("base-config", wanted.digest), fetch)
        return read_config(body, len(resolved.manifest.layers), platform)

    async def _look(self, resolved: Resolved, config: image.Config) -> Look:
        """One look at a time for an image: the others wait and find it.

        Who finds it elsewhere does not wait, as it may come from there too slowly.
        """
        digest = resolved.reference.digest
        environment = dict(entry.partition("=")[::2] for entry in config.config.env)

        async def make() -> bytes:
            async with self._few:
                files = await self._files(resolved)
                return msgspec.json.encode(await asyncio.to_thread(looks.look, files, environment))

        lock = self._looking.setdefault(str(resolved.reference), asyncio.Lock())
        async with lock:
            body = await self._kept(recipe.key("look", LOOK, digest), make)
        return msgspec.json.decode(body, type=Look)

    async def _kept(self, key: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        found = await self._cache.find(key)
        if found is None:
            found = await self._cache.keep(key, await self._blobs.put_bytes(await make()))
        return await self._blobs.read(found.digest, limit=1 << 30)

    async def _files(self, resolved: Resolved) -> RootFs:
        files, spent = RootFs(), Spent()
        try:
            async with asyncio.timeout(self._timeout):
                for number, layer in enumerate(resolved.manifest.layers, 1):
                    stream = self._registries.stream(resolved.reference, layer)
                    async with aclosing(stream):
                        await _laid(files, spent, stream, number)
        except TimeoutError as error:
            raise Transient(
                f"{resolved.reference}: looking into it took longer than {self._timeout:.0f} s"
            ) from error
        return files


async def _laid(files: RootFs, spent: Spent, stream: AsyncIterable[bytes], number: int) -> None:
    def work(feed: Feed) -> None:
        found: list[Found] = scan(feed, spent)
        while feed.read(1 << 20):  # the last bytes tell whether they were the right ones
            pass
        files.apply(found)

    try:
        await read_by(work, stream)
    except Invalid as error:
        raise Invalid("image", f"layer {number} {error.message}") from error


def check(resolved: Resolved) -> None:
    """Before anything of it is fetched. Raises Invalid for what is too large to build on."""
    layers = resolved.manifest.layers
    if len(layers) > MOST_LAYERS:
        raise Invalid("image", f"has {len(layers)} layers; {MOST_LAYERS} are allowed")
    size = sum(layer.size for layer in layers)
    if size > PACKED:
        raise Invalid("image", f"has {size} bytes of layers; {PACKED} are allowed")
    for layer in layers:
        if "foreign" in layer.media_type or not layer.media_type.endswith(LAYERS):
            raise Invalid("image", f"has a layer of the type {layer.media_type[:100]!r}")


def read_config(body: bytes, layers: int, platform: image.Platform) -> image.Config:
    """An image's config, in our words. Raises Invalid for one that can't be built on."""
    try:
        found = msgspec.json.decode(body, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("image", "has a config that can't be read") from error
    if (found.architecture, found.os) != (platform.architecture, platform.os):
        raise Invalid(
            "image",
            f"is for {found.os[:20]}/{found.architecture[:20]}; "
            f"{platform.os}/{platform.architecture} is needed",
        )
    if len(found.rootfs.diff_ids) != layers:
        raise Invalid("image", "has a config that names other layers than its manifest")
    own = found.config or _Container()
    for place in own.volumes or ():
        if not place.strip("/") or f"{place}/".startswith(f"{OURS}/"):
            raise Invalid("image", f"declares the volume {place[:100]}, which would hide our files")
    return image.Config(
        architecture=found.architecture,
        os=found.os,
        rootfs=found.rootfs,
        config=image.ContainerConfig(
            entrypoint=(*(own.entrypoint or ()), *(own.cmd or ())),
            env=tuple(entry for entry in own.env or () if "=" in entry and "\0" not in entry),
            working_dir=own.working_dir or "/",
            labels=own.labels or {},
            user=own.user or "",
        ),
        created=found.created or image.EPOCH,
        history=tuple(
            image.History(
                created=entry.created or image.EPOCH,
                created_by=entry.created_by or "",
                empty_layer=entry.empty_layer or False,
            )
            for entry in found.history or ()
        ),
    )
