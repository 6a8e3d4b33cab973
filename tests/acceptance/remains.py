"""What a platform still has of an endpoint, wherever it may be: looked up behind its back."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import msgspec

from shared.image import LAYER_ROLE, MANIFEST_TYPE
from slipway.types import Job
from tests.acceptance.platform import Platform

ELSEWHERE: Final = ("ground", "postgres")
"""Folders of a platform's home that are an engine's, a registry's and a database's own."""
LABEL: Final = "dev.slipway.replica"


@dataclass
class Remains:
    """Of an endpoint whose files, in its code and where it runs, have `mark` in their names."""

    platform: Platform
    job: Job
    mark: str
    source: str = ""  # the digest of its code as it was uploaded
    image: str = ""
    repository: str = ""  # `registry/name` of its image; "": it is in the blob store alone
    digests: Sequence[str] = ()  # of the blobs that are this endpoint's alone

    @classmethod
    async def of(cls, platform: Platform, job: Job, mark: str) -> Remains:
        """Once its image is built."""
        async with _database(platform) as database:
            row = await database.fetchrow(
                "SELECT definition->>'source' AS source, images->>$2 AS image, repository"
                " FROM versions WHERE id = $1",
                job.version,
                job.endpoint,
            )
        found = cls(platform, job, mark, row["source"], row["image"], row["repository"])
        found.digests = [found.source, found.image, *found._parts()]
        return found

    def _parts(self) -> Iterator[str]:
        manifest: dict[str, Any] = msgspec.json.decode(self._blob(self.image).read_bytes())
        yield manifest["config"]["digest"]
        for layer in manifest["layers"]:
            if layer.get("annotations", {}).get(LAYER_ROLE) == "code":
                yield layer["digest"]

    def blobs(self) -> list[str]:
        return [digest for digest in self.digests if self._blob(digest).exists()]

    def files(self) -> list[Path]:
        """Those with the mark, in replicas' folders and anywhere else in the platform's home."""
        found = []
        for folder, folders, files in os.walk(self.platform.home):
            if Path(folder) == self.platform.home:
                folders[:] = [name for name in folders if name not in ELSEWHERE]
            found += [Path(folder, name) for name in (*folders, *files) if self.mark in name]
        return found

    async def containers(self) -> list[str]:
        """Their ids, with what was written in them, whether they run or not."""
        socket = self.platform.environ.get("CONTAINER_SOCKET", "")
        if not socket:
            return []
        connector = aiohttp.UnixConnector(socket)
        url = "http://engine/containers/json?all=true"
        async with (
            aiohttp.ClientSession(connector=connector) as engine,
            engine.get(url) as answer,
        ):
            listed = await answer.json()
        begins = f"{self.job.id}-"
        return [each["Id"] for each in listed if each["Labels"].get(LABEL, "").startswith(begins)]

    async def in_registry(self) -> bool:
        registry, _, name = self.repository.partition("/")
        if not registry:
            return False
        url = f"http://{registry}/v2/{name}/manifests/{self.image}"
        kind = {"Accept": MANIFEST_TYPE}
        async with aiohttp.ClientSession() as http, http.get(url, headers=kind) as answer:
            assert answer.status in (200, 404), await answer.text()
            return answer.status == 200

    async def age(self) -> None:
        """As if it had all been kept for as long as it is: the least that settings allow is days,
        so that nothing goes which a slow build has in hand."""
        then = timedelta(days=2).total_seconds()
        for digest in self.blobs():
            at = self._blob(digest).stat().st_mtime - then
            os.utime(self._blob(digest), (at, at))
        async with _database(self.platform) as database:
            await database.execute(
                "UPDATE jobs SET changed_at = changed_at - '2 days'::interval WHERE id = $1",
                self.job.id,
            )
            await database.execute(
                "UPDATE uploads SET used_at = used_at - '8 days'::interval WHERE digest = $1",
                self.source,
            )
            # of all: which of them it is in, the cache alone knows, and keeps for 30 days else
            await database.execute("UPDATE layers SET used_at = used_at - '2 days'::interval")

    def _blob(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self.platform.home / "blobs" / "sha256" / name[:2] / name


@asynccontextmanager
async def _database(platform: Platform) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(platform.environ["DATABASE_URL"])
    try:
        yield connection
    finally:
        await connection.close()
