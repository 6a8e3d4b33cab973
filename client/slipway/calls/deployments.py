"""Deployments, their versions, and the aliases that point at versions."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from slipway import source
from slipway.calls.base import Ask, at, given, missing
from slipway.calls.sources import Sources
from slipway.errors import BadUsage, SlipwayError
from slipway.types import Alias, Deployment, LogLine, Page, Review, Upload, Version, VersionSummary


class Deployments(Sources):
    async def upload(
        self,
        path: str | Path,
        *,
        project: str | None = None,
        progress: source.Progress = lambda name, size: None,
    ) -> Upload:
        """Upload a file as it is, or a folder packed. What is already there is not sent again."""
        path = Path(path)
        if not path.is_dir():
            return await self._send(path, await asyncio.to_thread(source.digest, path), project)
        with tempfile.NamedTemporaryFile(prefix="slipway-", suffix=".tar.gz") as file:
            packed = await asyncio.to_thread(source.pack, path, file, progress)
            file.flush()
            return await self._send(Path(file.name), packed, project)

    async def upload_bundle(
        self,
        members: Sequence[source.Member],
        *,
        project: str | None = None,
        progress: source.Progress = lambda name, size: None,
    ) -> Upload:
        """Upload files from several places, as one archive."""
        with tempfile.NamedTemporaryFile(prefix="slipway-", suffix=".tar") as file:
            packed = await asyncio.to_thread(source.bundle, members, file, progress)
            file.flush()
            return await self._send(Path(file.name), packed, project)

    async def _send(self, path: Path, packed: source.Packed, project: str | None) -> Upload:
        uploads = f"{await self._project(project)}/uploads"
        if await self._transport.exists(f"{uploads}/{packed.digest}"):
            return Upload(digest=packed.digest, size=packed.size, sent=False)
        return await self._transport.upload(uploads, Upload, lambda: chunks(path))

    async def create_deployment(
        self, name: str, *, target: str | None = None, project: str | None = None
    ) -> Deployment:
        ask = given(name=name, target=target)
        return await self._transport.post(
            f"{await self._project(project)}/deployments", Deployment, ask
        )

    async def deployments(self, *, project: str | None = None) -> list[Deployment]:
        return await self._all(f"{await self._project(project)}/deployments", Deployment)

    async def deployment(self, name: str, *, project: str | None = None) -> Deployment:
        return await self._transport.get(await self._at(project, name), Deployment)

    async def ensure_deployment(
        self, name: str, *, target: str | None = None, project: str | None = None
    ) -> Deployment:
        """The deployment of that name, created if it is missing. BadUsage if it is elsewhere."""
        made = await self._ensured(name, target, project)
        if target is not None and made.target != target:
            raise BadUsage(
                f"the deployment {name} is on the target {made.target}, not on {target}",
                "a deployment stays where it is; choose another name with --deployment",
            )
        return made

    async def _ensured(self, name: str, target: str | None, project: str | None) -> Deployment:
        try:
            return await self.deployment(name, project=project)
        except SlipwayError as error:
            if not missing(error):
                raise
        try:
            return await self.create_deployment(name, target=target, project=project)
        except SlipwayError as error:
            if error.status != 409:
                raise
        return await self.deployment(name, project=project)  # somebody was faster

    async def create_version(
        self, /, deployment: str, source: str, *, project: str | None = None, **options: Any
    ) -> Version:
        """A version of an uploaded `source` (its digest), accepted and not yet built.

        `options` are the fields of the API: name, config, endpoints, files, environment, serving,
        replicas.
        """
        path = await self._at(project, deployment, "versions")
        return await self._transport.post(path, Version, given(source=source, **options))

    async def review_version(
        self, /, deployment: str, source: str, *, project: str | None = None, **options: Any
    ) -> Review:
        """What `create_version` would do."""
        path = await self._at(project, deployment, "versions", "review")
        return await self._transport.post(path, Review, given(source=source, **options))

    async def versions(
        self, deployment: str, *, limit: int | None = None, project: str | None = None
    ) -> list[VersionSummary]:
        path = await self._at(project, deployment, "versions")
        return await self._all(path, VersionSummary, limit)

    async def version(
        self, deployment: str, version: str, *, project: str | None = None
    ) -> Version:
        """`version` is its name, or an alias."""
        path = await self._at(project, deployment, "versions", version)
        return await self._transport.get(path, Version)

    async def cancel_version(
        self, deployment: str, version: str, *, project: str | None = None
    ) -> Version:
        """Cancel its build: it fails, and so do the jobs that wait. Repeating is harmless."""
        path = await self._at(project, deployment, "versions", version, "cancel")
        return await self._transport.post(path, Version)

    async def build_log(
        self,
        deployment: str,
        version: str,
        *,
        limit: int | None = None,
        project: str | None = None,
    ) -> list[LogLine]:
        """What the build printed, newest first."""
        path = await self._at(project, deployment, "versions", version, "logs")
        return await self._all(path, LogLine, limit)

    async def follow_build_log(
        self, deployment: str, version: str, *, project: str | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """What the build prints, oldest first, until it has ended."""
        path = await self._at(project, deployment, "versions", version, "logs")
        async with aclosing(self._follow_log(path)) as lines:
            async for line in lines:
                yield line

    async def aliases(self, deployment: str, *, project: str | None = None) -> list[Alias]:
        path = await self._at(project, deployment, "aliases")
        return (await self._transport.get(path, Page[Alias])).items

    async def alias(self, deployment: str, alias: str, *, project: str | None = None) -> Alias:
        return await self._transport.get(
            await self._at(project, deployment, "aliases", alias), Alias
        )

    async def set_alias(
        self,
        deployment: str,
        alias: str,
        version: str,
        *,
        force: bool = False,
        project: str | None = None,
    ) -> Alias:
        """Point `alias` at `version`; `force`: also when not all of its endpoints run."""
        ask: Ask = given(version=version, force=force)
        path = await self._at(project, deployment, "aliases", alias)
        return await self._transport.put(path, Alias, ask)

    async def rollback_alias(
        self, deployment: str, alias: str, *, project: str | None = None
    ) -> Alias:
        """Point `alias` at the version before its last move."""
        path = await self._at(project, deployment, "aliases", alias, "rollback")
        return await self._transport.post(path, Alias)

    async def _at(self, project: str | None, *parts: str) -> str:
        return f"{await self._project(project)}/deployments/{at(*parts)}"


async def chunks(path: Path) -> AsyncIterator[bytes]:
    """A file's bytes, read aside so that nothing else waits for the disk."""
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, source.CHUNK):
            yield chunk


def serving(endpoints: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]] | None:
    """Serving options by endpoint, without those that were not given."""
    chosen = {name: given(**options) for name, options in endpoints.items()}
    return {name: options for name, options in chosen.items() if options} or None
