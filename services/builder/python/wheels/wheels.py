"""Packages that no index has a wheel of for a base image, built inside that base.

A resolver runs inside first, with the base's own Python and its system's packages, since what a
package needs may only be told where it is built. What it decides on is the lock. Then those of
its packages that have no wheel are built, each once for a project and a base, and their wheels are
all that is kept. They are in the lock beside the source that they were made of, so who follows the
lock elsewhere builds the same source.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

import msgspec

from services.builder import recipe
from services.builder.base import target
from services.builder.base.bases import Base
from services.builder.cache import Cache
from services.builder.engines import Engine
from services.builder.inside import Inside, read
from services.builder.logbook import Write
from services.builder.python import lock as locks
from services.builder.python.install import Installer
from services.builder.python.lock import Lock, Pin
from services.builder.python.wanted import NoWheel, Wanted
from services.builder.python.wheels import built
from services.builder.python.wheels.kit import Kit
from services.builder.python.wheels.pylock import Found
from services.builder.python.wheels.workbench import Bench, Workbench
from services.builder.stages import Stages
from shared.blobs import Blob, Blobs
from shared.endpoint import Endpoint
from shared.errors import Invalid, Transient, translate
from shared.image import CODE

FOLDER: Final = "wheels"


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # of its file
    blob: Blob


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A lock, and the wheels in it that no index has."""

    lock: Blob
    wheels: tuple[Wheel, ...] = ()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be had, and where."""

    endpoint: Endpoint
    base: Base
    wanted: Wanted
    code: Blob  # the source as a layer

    @property
    def under(self) -> list[object]:
        """What every wheel depends on beside its own source."""
        return [self.base.digest, self.endpoint.apt_packages, self.endpoint.conda_packages]


class Wheels:
    """`folder` is the build's own."""

    def __init__(
        self,
        blobs: Blobs,
        cache: Cache,
        engine: Engine | None,
        installer: Installer,
        indexes: str,
        inside: Inside,
        project: str,
        folder: Path,
        write: Write,
        stages: Stages,
    ) -> None:
        self._blobs = blobs
        self._cache = cache
        self._engine = engine
        self._indexes = indexes
        self._inside = inside
        self._project = project
        self._folder = folder
        self._into = folder / FOLDER
        self._kit = Kit(folder, installer)
        self._write = write
        self._stages = stages

    async def locked(
        self, job: Job, source: Path, key: str, missing: NoWheel
    ) -> tuple[Lock, str, Path]:
        """The lock with what it takes to follow it: its digest, and a folder of wheels.

        Raises NoWheel, with the reason, for what can't be built; `missing` says what has to be.
        """
        with translate({OSError: Transient}):
            shutil.rmtree(self._into, ignore_errors=True)
            self._into.mkdir()
        found = await self._cache.known(key, Made, self._is_whole)
        if found is None:
            made = await self._made(job, source, missing)
            found = await self._cache.agree(key, made, self._is_whole)
        text = await self._blobs.read(found.lock.digest)
        return locks.read(text.decode()), found.lock.digest, self._into

    async def _is_whole(self, found: Made) -> bool:
        """Has its wheels in the folder, too."""
        if not await self._cache.has(found.lock):
            return False
        return all([await self._fetched(wheel) for wheel in found.wheels])

    async def _fetched(self, wheel: Wheel) -> bool:
        if await self._blobs.size(wheel.blob.digest) != wheel.blob.size:
            return False
        with translate({OSError: Transient}), (self._into / wheel.name).open("wb") as file:
            async for chunk in self._blobs.stream(wheel.blob.digest):
                file.write(chunk)
        return True

    async def _made(self, job: Job, source: Path, missing: NoWheel) -> Made:
        host = job.wanted.host
        if self._engine is None:
            raise NoWheel(f"{missing}, and no build engine that could build one", missing.packages)
        if "manylinux" not in host.platform:
            raise NoWheel(f"{missing}, and only with glibc one is built", missing.packages)
        alone = msgspec.structs.replace(job.endpoint, install=())
        system = (await self._inside.changed(alone, job.base, ())).layer
        async with self._stages.stage("install"):
            self._write(f"{missing}; building inside {job.base.name}", "platform")
            under = [*([system] if system else []), *([job.code] if job.wanted.asked.local else [])]
            bench = Bench(
                base=str(job.base.reference),
                below=await self._inside.below(under),
                cwd=CODE[job.endpoint.format] if job.wanted.asked.local else "/",
                wanted=job.wanted,
                source=source,
            )
            work = Workbench(bench, self._engine, self._kit, self._folder, self._into, self._write)
            try:
                return await self._built(job, work, source)
            except Invalid as error:
                said = f"{missing}, and building one failed: {error.message}"
                raise NoWheel(said, missing.packages) from error

    async def _built(self, job: Job, bench: Workbench, source: Path) -> Made:
        found, early = await bench.decide()
        # before more is built than had to be to decide: its owner may not have meant it
        lock = Lock(target=target.words(job.wanted.host), pins=tuple(one.pin for one in found))
        lock = locks.narrowed(lock, job.wanted.asked, job.wanted.added)
        wheels = {one.pin.name: await self._own(job, one, source) for one in found if one.wheel}
        needed = [one for one in found if one.line]
        for one in needed:
            if (wheel := await self._before(job, one)) is not None:
                wheels[one.pin.name] = wheel
        rest = [one for one in needed if one.pin.name not in wheels]
        missing = [one for one in rest if one.pin.name not in early]
        files = early | (await bench.build(missing) if missing else {})
        for one in rest:
            wheels[one.pin.name] = await self._now(job, one, files[one.pin.name])
        pins = tuple(_pinned(pin, wheels.get(pin.name)) for pin in sorted(lock.pins, key=_name))
        text = msgspec.structs.replace(lock, pins=pins).text
        kept = await self._blobs.put_bytes(text.encode())
        return Made(lock=kept, wheels=tuple(wheels[name] for name in sorted(wheels)))

    async def _before(self, job: Job, one: Found) -> Wheel | None:
        """What was built of the same source before."""
        known = await self._cache.find(self._key(job, one))
        if known is None:
            return None
        wheel = msgspec.json.decode(await self._blobs.read(known.digest), type=Wheel)
        return wheel if await self._fetched(wheel) else None

    async def _now(self, job: Job, one: Found, file: str) -> Wheel:
        wheel = await self._kept(file)
        kept = await self._blobs.put_bytes(msgspec.json.encode(wheel))
        await self._cache.keep(self._key(job, one), kept)
        return wheel

    def _key(self, job: Job, one: Found) -> str:
        tree = "" if one.pin.hashes else job.code.digest
        return recipe.key("wheel", self._project, job.under, one.line, self._indexes, tree)

    async def _own(self, job: Job, one: Found, source: Path) -> Wheel:
        """A wheel that is a file of the source."""
        root = Path(CODE[job.endpoint.format])
        place = Path(one.wheel)
        if not place.is_relative_to(root) or not built.WHEEL.fullmatch(place.name):
            raise Invalid("", f"{one.pin.name} is no wheel of the source")
        with translate({OSError: Transient}):
            path = self._into / place.name
            await asyncio.to_thread(shutil.copyfile, source / place.relative_to(root), path)
        return await self._kept(place.name)

    async def _kept(self, name: str) -> Wheel:
        return Wheel(name=name, blob=await self._blobs.put(read(self._into / name)))


def _name(pin: Pin) -> str:
    return pin.name


def _pinned(pin: Pin, wheel: Wheel | None) -> Pin:
    """Followed by the wheel that was made for it, or elsewhere by its source."""
    if wheel is None:
        return pin
    hashes = tuple(sorted({*pin.hashes, wheel.blob.digest}))
    return msgspec.structs.replace(
        pin, version=pin.version or built.version(wheel.name), hashes=hashes
    )
