"""One request on its way through a handler, and the answer that comes back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec
from aiohttp import web

from services.api import answers, refused
from services.api.answer import Answer
from services.api.context import Context
from services.api.token import Identity
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql

PROJECT = sql(__package__, "project")
DEPLOYMENT = sql(__package__, "deployment")

TRUST: Final = 2.0  # seconds for which a project that was found is not looked for again
KNOWN: Final = 4096  # projects remembered at most

Q = TypeVar("Q")
B = TypeVar("B")


class Project(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    owner: str
    name: str

    @property
    def source(self) -> str:
        """Of its events."""
        return f"/{self.owner}/{self.name}"


class Call(Generic[Q, B]):
    """`query` and `body` are of the types that the table of operations names."""

    def __init__(
        self,
        *,
        request: web.Request,
        context: Context,
        who: Identity,
        query: Q,
        body: B,
        once: answers.Key | None,
    ) -> None:
        self.request = request
        self.context = context
        self.who = who
        self.query = query
        self.body = body
        self.key = once

    @property
    def database(self) -> Database:
        return self.context.database

    @property
    def size(self) -> int | None:
        """Bytes of the body, None when nobody said."""
        return self.request.content_length

    @property
    def path(self) -> Mapping[str, str]:
        return self.request.match_info

    async def before(self) -> Answer | None:
        """What the same request was answered before, for what costs to do again."""
        return await answers.before(self.database, self.key)

    async def once(self, write: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """Do `write` in a transaction, and once only for one Idempotency-Key."""
        return await answers.once(self.database, self.key, write)

    def owner(self) -> str:
        """The owner in the path, who is not there for those who may not see it."""
        owner = self.path["owner"]
        if not self.who.sees(owner):
            raise refused.missing("owner")
        return owner

    async def project(self) -> Project:
        """The project in the path."""
        return await self.project_of(self.path["owner"], self.path["project"])

    async def project_of(self, owner: str, name: str) -> Project:
        if not self.who.sees(owner):
            raise refused.missing("project")
        known, now = self.context.projects, time.monotonic()
        until, project = known.get((owner, name), (0.0, None))
        if project is not None and now < until:
            return project
        row = await self.database.row(PROJECT, owner, name)
        if row is None:
            raise refused.missing("project")
        if len(known) >= KNOWN:
            known.clear()
        project = Project(seq=row["seq"], owner=row["owner"], name=row["name"])
        known[owner, name] = (now + TRUST, project)
        return project

    async def deployment(self) -> tuple[Project, dict[str, Any]]:
        """The deployment in the path, as a row of deployment.sql, and its project."""
        project = await self.project()
        row = await self.database.row(DEPLOYMENT, project.seq, self.path["deployment"])
        if row is None:
            raise refused.missing("deployment")
        return project, dict(row)
