"""Makes the folder of a replica, whole, before anybody sees it.

spec.json    what the supervisor is told          log/       its lines
image/       the fresh part of the image          tmp/       its /tmp
root/        where its own / is put together      lock, init, status.json: the supervisor's
life         of the machine: see driver.py         layers       see layers.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from services.scheduler.driver import Workload
from services.scheduler.drivers.limits import Limits, limited
from services.scheduler.drivers.outputs import FOLDER as OUTPUTS
from services.scheduler.drivers.process import launch, spec
from services.scheduler.drivers.process.layers import Layers, is_shared, note
from shared.blobs import Blobs
from shared.errors import Permanent
from shared.image import Config, ContainerConfig, Manifest

T = TypeVar("T")


class Stage:
    def __init__(
        self,
        home: Path,
        blobs: Blobs,
        *,
        isolated: bool,
        hidden: Sequence[Path],
        limits: Limits,
        platform: Mapping[str, str],
    ) -> None:
        self._home = home
        self._blobs = blobs
        self._layers = Layers(home, blobs)
        self._isolated = isolated
        self._hidden = hidden
        self._limits = limits
        self._platform = platform

    async def fill(self, folder: Path, workload: Workload, final: Path, socket: str) -> None:
        """Make `folder` ready to be moved to `final`.

        Raises Permanent when the image is missing or damaged.
        """
        manifest = await self._read(workload.image, Manifest)
        config = (await self._read(manifest.config.digest, Config)).config
        for name in ("image", "log", "root", "tmp"):
            (folder / name).mkdir()
        (folder / "tmp").chmod(0o1777)
        if workload.run is not None:
            (folder / "image" / OUTPUTS.lstrip("/")).mkdir(parents=True)
        shared = []
        for layer in manifest.layers:
            if is_shared(layer):
                shared.append(await self._layers.shared(layer.digest))
            else:
                await self._layers.unpack(layer.digest, folder / "image")
        await asyncio.to_thread(_write_files, folder / "image", workload.files)
        note(folder, shared)
        told = self._told(config, workload, shared, final / "image", socket)
        if not self._isolated:
            _link(folder / "image", shared, launch.interpreter())
        (folder / "spec.json").write_bytes(msgspec.json.encode(told))

    def _told(
        self,
        config: ContainerConfig,
        workload: Workload,
        shared: Sequence[Path],
        fresh: Path,
        socket: str,
    ) -> spec.Spec:
        limits = limited(workload, self._limits)
        if not self._isolated:
            return spec.plain(
                config,
                workload,
                platform=self._platform,
                root=fresh,
                socket=socket,
                limits=limits,
            )
        return spec.isolated(
            config,
            workload,
            platform=self._platform,
            limits=limits,
            python=launch.interpreter(),
            trees=shared,
            fresh=fresh,
            hidden=self._hidden,
            socket=socket,
        )

    async def _read(self, digest: str, kind: type[T]) -> T:
        content = await self._blobs.read(digest)
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise Permanent(f"{digest} is not a part of an image: {error}") from error


def _write_files(root: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        target = root / path.lstrip("/")
        if ".." in target.parts:
            raise Permanent(f"file {path!r} leaves the image")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(root.resolve()):
            raise Permanent(f"file {path!r} is below a link")
        target.unlink(missing_ok=True)
        target.write_bytes(content)


def _link(root: Path, shared: Sequence[Path], python: str) -> None:
    """Without mounts, links stand for the shared layers and for the interpreter."""
    for tree in shared:
        for top in tree.iterdir():
            (root / top.name).mkdir(exist_ok=True)
            for place in top.iterdir():
                (root / top.name / place.name).symlink_to(place)
    links = root / spec.LINKS.lstrip("/")
    links.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        os.symlink(python, links / name)
