"""Bases that were pulled, in a store that all steps of this machine share.

Pulling is done by one builder at a time. While a step uses the store it holds `use.lock` shared, so
that nothing is removed under it. A base that was pulled has a mark, whose time tells its last use.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import ipaddress
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from services.builder.engines import Write
from services.builder.engines.box import Box, made, remove
from services.builder.python.reason import masked
from services.builder.sandbox.spec import Limits, Place
from shared.errors import Invalid, Transient, translate

FIELD: Final = "image"
BASE: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?/[a-z0-9][a-z0-9._/-]*@sha256:[0-9a-f]{64}"
)
NOT_THERE: Final = re.compile(r"manifest unknown|name unknown", re.IGNORECASE)
REFUSED: Final = re.compile(r"unauthorized|denied|authentication required", re.IGNORECASE)
WAIT: Final = 0.05  # seconds between two looks at a lock


class Store(msgspec.Struct, frozen=True, kw_only=True):
    folder: Path
    credentials: Path | None = None  # a docker-style config.json
    limits: Limits = Limits(seconds=900.0, disk=100 << 30, files=20_000_000)
    most: int = 50 << 30  # bytes of all bases, beyond which those that were used last stay

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @asynccontextmanager
    async def holding(self, base: str, write: Write) -> AsyncIterator[Path]:
        """The store with `base` in it, for as long as it is used. Pulls it when it isn't there.

        Raises Invalid when there is no such base, and Transient when it can't be had now.
        """
        if not BASE.fullmatch(base):
            raise Invalid(FIELD, "a base image is named in full, by its digest")
        with translate({OSError: Transient}):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.images.mkdir(exist_ok=True, mode=0o700)
        mark = self._mark(base)
        if not mark.exists():
            await self._make_room()
        async with _lock(self.folder / "use.lock", fcntl.LOCK_SH):
            if not mark.exists():
                async with _lock(self.folder / "pull.lock", fcntl.LOCK_EX):
                    if not mark.exists():
                        await self._pull(base, write)
                        mark.write_text(base)
            os.utime(mark)
            yield self.images

    def forget(self, base: str) -> None:
        """It may not be there as it was: the next step that needs it pulls it again."""
        self._mark(base).unlink(missing_ok=True)

    def _mark(self, base: str) -> Path:
        return self.folder / f"has-{hashlib.sha256(base.encode()).hexdigest()}"

    async def _make_room(self) -> None:
        """Remove bases, those first that were used least lately, unless any is in use."""
        with suppress(BlockingIOError), _held(self.folder / "use.lock"):
            marks = sorted(self.folder.glob("has-*"), key=lambda mark: mark.stat().st_mtime)
            for mark in marks:
                if await asyncio.to_thread(size, self.images) <= self.most:
                    return
                await self._remove(mark)

    async def _remove(self, mark: Path) -> None:
        base = mark.read_text()
        mark.unlink()  # first: a base without a mark is only pulled again
        async with made(self.folder) as folder:
            await Box(folder=folder, limits=self.limits, network="none").run(
                *("pull", base, "--gone"),
                write=lambda *_: None,
                places=[Place(str(self.images), "/store", "write")],
            )

    async def _pull(self, base: str, write: Write) -> None:
        write(f"pulling {base}", "platform")
        said: deque[str] = deque(maxlen=20)
        for left in self.folder.glob("box-*"):  # of a builder that was killed; we hold the lock
            await remove(left)
        async with made(self.folder) as folder:
            if self.credentials is not None:
                _copy(self.credentials, folder / "auth.json")
            ended = await Box(folder=folder, limits=self.limits, network="machine").run(
                *("pull", base, *(["--plain"] if is_loopback(base) else [])),
                write=lambda text, _: said.append(masked(text)),
                places=[Place(str(self.images), "/store", "write")],
                counted=str(self.images),
            )
        if ended.how == "disk":
            raise Transient("there is no room for more base images")
        if ended.how == "seconds":
            raise Transient(f"pulling {base} took longer than {self.limits.seconds:.0f} s")
        if ended.code:
            text = " ".join(said)[-600:]
            if NOT_THERE.search(text):
                raise Invalid(FIELD, f"{base} is not in its registry")
            if REFUSED.search(text):
                raise Invalid(FIELD, f"its registry does not let us pull {base}")
            raise Transient(f"{base} can't be pulled now: {text}")


def is_loopback(base: str) -> bool:
    """Whether a base's registry is on this machine, which is asked without TLS.

    >>> is_loopback("127.0.0.1:5000/python@sha256:…"), is_loopback("registry.example/x@sha256:…")
    (True, False)
    """
    host = base.partition("/")[0].rpartition(":")[0] or base.partition("/")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _copy(source: Path, target: Path) -> None:
    """For the root of a sandbox, whom `target`'s folder belongs to alone."""
    with translate({OSError: Transient}):
        target.write_bytes(source.read_bytes())
        target.chmod(0o644)


@asynccontextmanager
async def _lock(path: Path, kind: int) -> AsyncIterator[None]:
    with translate({OSError: Transient}):
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(WAIT)
        yield
    finally:
        os.close(handle)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Alone. Raises BlockingIOError when it is not to be had now."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def size(folder: Path) -> int:
    """Bytes that the files below take on the disk, as far as we may look."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(at, name)).st_blocks * 512
    return total
