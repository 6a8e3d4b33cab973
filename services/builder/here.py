"""Runs an owner's lines on this machine, for a target whose images stand on no base.

They run in a sandbox over copies of what the image will have: the code where the image has it, and
the packages as a Python user base. What they leave in these two is in the image; nothing else that
they do to a system stays, since there is none to do it to.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from services.builder import layers, recipe
from services.builder.artifacts.distributions import distributions
from services.builder.base.look import Package
from services.builder.cache import Cache
from services.builder.engines import Limits, Step, lines
from services.builder.engines.buildah import Said
from services.builder.logbook import Write
from services.builder.plan import Plan
from services.builder.python import confined, pip_on_uv
from services.builder.python.install import Installer
from services.builder.python.tidy import tidy
from services.builder.recipe import Host
from services.builder.sandbox import run as sandbox
from services.builder.sandbox.spec import Limits as Bounds
from services.builder.sandbox.spec import Place, Spec, exceeded
from services.builder.source import Source
from services.builder.stages import Stages
from services.builder.variables import SYSTEM_PATH
from shared import archive
from shared.blobs import Blob, Blobs
from shared.endpoint import Endpoint
from shared.errors import Invalid, Transient, translate
from shared.image import CODE, PYTHON, USER

FIELD: Final = "install-command"
TOOLS: Final = "/slipway/tools"  # inside: what is called python and pip
MEMBERS: Final = archive.Limits(members=1_000_000, links=100_000, ratio=1_000)


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What lines made of an image's packages and code, once."""

    python: Blob
    code: Blob
    distributions: tuple[Package, ...] = ()


class Here:
    """`folder` is the build's own."""

    def __init__(
        self,
        blobs: Blobs,
        cache: Cache,
        installer: Installer,
        source: Source,
        project: str,
        folder: Path,
        write: Write,
        stages: Stages,
    ) -> None:
        self._blobs = blobs
        self._cache = cache
        self._installer = installer
        self._source = source
        self._project = project
        self._folder = folder / "here"
        self._write = write
        self._stages = stages

    async def left(
        self,
        endpoint: Endpoint,
        plan: Plan,
        host: Host,
        packages: Blob,
        code: Blob,
        private: frozenset[str],
    ) -> Left:
        """What the plan's lines make of two layers. Raises Invalid when one of them fails.

        The `private` files of the source are there for them, and are in no layer.
        """
        where = [host.python, host.platform, host.executable]
        key = recipe.key("here", self._project, where, plan, packages.digest, code.digest)
        found = await self._cache.known(key, Left, self._is_whole)
        if found is None:
            async with self._stages.stage("install"):
                made = await self._made(endpoint, plan, host, packages, private)
            found = await self._cache.agree(key, made, self._is_whole)
        return found

    async def _is_whole(self, found: Left) -> bool:
        return await self._cache.has(found.python) and await self._cache.has(found.code)

    async def _made(
        self, endpoint: Endpoint, plan: Plan, host: Host, packages: Blob, private: frozenset[str]
    ) -> Left:
        if not self._installer.confined:
            raise Invalid(
                FIELD,
                "runs in a sandbox, which the builder's machine does not permit; without one only "
                "`pip install` of packages and of requirements files can be done",
            )
        with translate({OSError: Transient, shutil.Error: Transient}):
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder.mkdir()
        python, code = await self._unpacked(packages), await self._source.copied()
        at = CODE[endpoint.format]
        await self._run(endpoint, plan, python, code, at)
        try:
            await asyncio.to_thread(tidy, python, host)
            found = await asyncio.to_thread(distributions, python)
            return Left(
                python=await self._blobs.put(layers.threaded(layers.folder(python, PYTHON))),
                code=await self._blobs.put(
                    layers.threaded(layers.folder(code, at, owner=USER, without=private))
                ),
                distributions=found,
            )
        except OSError as error:  # folders that nobody may look into, or loops of links
            raise Invalid(FIELD, f"leaves what can't be read: {error.strerror}") from error

    async def _unpacked(self, packages: Blob) -> Path:
        packed, into = self._folder / "packages.tar", self._folder / "packages"
        with translate({OSError: Transient}):
            with packed.open("wb") as file:
                async for chunk in self._blobs.stream(packages.digest):
                    file.write(chunk)
            await asyncio.to_thread(archive.extract, packed, into, MEMBERS)
            packed.unlink()
            found = into / PYTHON.lstrip("/")
            found.mkdir(parents=True, exist_ok=True)
        return found

    async def _run(self, endpoint: Endpoint, plan: Plan, python: Path, code: Path, at: str) -> None:
        limits = Limits(memory=self._installer.memory, seconds=self._installer.timeout)
        step = Step(base="", lines=plan.lines, env=self._environment(plan), cwd=at)
        mark = f"{os.urandom(16).hex()} "
        said = Said(lines.units(step), mark, limits, self._write)
        bounds = Bounds(seconds=limits.seconds, memory=limits.memory)
        spec = self._spec(lines.script(step, mark), bounds, python, code, at)
        ended = await sandbox.run(spec, said.hear)
        said.close()
        if ended.how == "broken":
            raise Transient(ended.why)
        if ended.how != "exit":
            raise Invalid(FIELD, said.during(exceeded(ended.how, bounds)))
        if ended.code:
            raise Invalid(FIELD, said.failed(ended.code))

    def _environment(self, plan: Plan) -> dict[str, str]:
        path = f"{PYTHON}/bin:{TOOLS}/bin:{SYSTEM_PATH}"
        told = {"PATH": path, "HOME": "/tmp", "PYTHONPATH": TOOLS, "PYTHONUSERBASE": PYTHON}
        return {**plan.environment, **told}

    def _spec(self, script: str, bounds: Bounds, python: Path, code: Path, at: str) -> Spec:
        tools, scratch = self._folder / "tools", self._folder / "scratch"
        cache = self._installer.own_cache(self._project)
        with translate({OSError: Transient}):
            for folder in (scratch, cache, self._folder / "box"):
                folder.mkdir(parents=True, exist_ok=True)
            pip_on_uv.lay_out(tools, self._installer.python)
        environment: Mapping[str, str] = {
            **self._installer.environment,
            pip_on_uv.UV: self._installer.uv,
            pip_on_uv.CACHE: str(cache),
        }
        found = confined.spec(
            ["/bin/sh", "-c", script],
            environment,
            scratch,
            self._folder / "box",
            (
                Path(self._installer.uv),
                Path(self._installer.python),
                Path(self._installer.python).resolve().parents[1],
            ),
            (scratch, cache),
            (
                *self._installer.environment.values(),
                self._installer.public,
                *self._installer.private,
            ),
            bounds,
        )
        own = [
            Place(str(tools), TOOLS),
            Place(str(python), PYTHON, "write"),
            Place(str(code), at, "write"),
        ]
        return found._replace(places=[*found.places, *own], counted=str(self._folder.parent))
