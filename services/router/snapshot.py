"""Looking at the truth: routes and aliases as PostgreSQL has them. The request path never does."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any, Protocol

import msgspec

from services.router.gateway.targets import Application
from services.router.table import Alias, Route
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.ids import JobId, VersionId

log = logging.getLogger(__name__)

ROUTES = sql(__package__, "routes")
ALIASES = sql(__package__, "aliases")
APPLICATIONS = sql(__package__, "applications")


class Source(Protocol):
    """Raises Transient when it can't be asked now."""

    async def everything(self) -> tuple[list[Route], list[Alias], list[Application]]: ...

    async def routes(self, jobs: Collection[JobId], versions: Collection[VersionId]) -> list[Route]:
        """Those of `jobs` that are not over, and all the jobs of `versions`."""

    async def aliases(self, deployments: Collection[str]) -> list[Alias]:
        """Every alias of `deployments`, which are named by id."""

    async def applications(self, ids: Collection[str]) -> list[Application]:
        """Those of them that are not removed."""


class PostgresSource:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def everything(self) -> tuple[list[Route], list[Alias], list[Application]]:
        # applications first: whatever revision they are at, its jobs are seen after it
        applications = await self._database.fetch(APPLICATIONS, None)
        routes = await self._database.fetch(ROUTES, None, None)
        aliases = await self._database.fetch(ALIASES, None)
        return (
            msgspec.convert([dict(row) for row in routes], list[Route]),
            msgspec.convert([dict(row) for row in aliases], list[Alias]),
            _applications(applications),
        )

    async def routes(self, jobs: Collection[JobId], versions: Collection[VersionId]) -> list[Route]:
        rows = await self._database.fetch(ROUTES, list(jobs), list(versions))
        return msgspec.convert([dict(row) for row in rows], list[Route])

    async def aliases(self, deployments: Collection[str]) -> list[Alias]:
        rows = await self._database.fetch(ALIASES, list(deployments))
        return msgspec.convert([dict(row) for row in rows], list[Alias])

    async def applications(self, ids: Collection[str]) -> list[Application]:
        rows = await self._database.fetch(APPLICATIONS, list(ids))
        return _applications(rows)


def _applications(rows: Iterable[Any]) -> list[Application]:
    """One that can't be read is left out, and told of: it must not be the end of the others."""
    found = []
    for row in rows:
        try:
            found.append(msgspec.convert(dict(row), Application))
        except msgspec.ValidationError:
            log.exception("the application %s can't be read", row["id"])
    return found
