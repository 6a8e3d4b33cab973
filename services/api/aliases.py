"""Aliases: moving one is release and rollback. Each move is a revision that is kept."""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from services.api import etag, refused, urls
from services.api.answer import Answer
from services.api.call import Call, Project
from services.api.types import Alias, AliasMove, MoveAlias, Name, NoQuery, Page, RollBack
from shared.database import versions
from shared.database.events import announce
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.errors import Invalid
from shared.events import AliasMoved
from shared.ids import VersionId
from shared.lifecycle import State
from shared.problems import Wrong

ALIAS = sql(__package__, "alias")
ALIAS_MOVE = sql(__package__, "alias_move")
ALIAS_MOVES = sql(__package__, "alias_moves")
DEPLOYMENT_LOCK = sql(__package__, "deployment_lock")
VERSION_FIND = sql(__package__, "version_find")
VERSION_JOBS = sql(__package__, "version_jobs")

Deployment = dict[str, Any]


async def index(call: Call[NoQuery, None]) -> Answer:
    _, deployment = await call.deployment()
    async with call.database.connection() as connection:
        rows = await connection.fetch(ALIAS, deployment["id"], None)
        return Answer(Page(items=[await _view(connection, call, deployment, row) for row in rows]))


async def show(call: Call[NoQuery, None]) -> Answer:
    _, deployment = await call.deployment()
    async with call.database.connection() as connection:
        return await _answer(connection, call, deployment)


async def put(call: Call[NoQuery, MoveAlias]) -> Answer:
    project, deployment = await call.deployment()
    alias, asked = _name(call.path["alias"]), call.body
    wish = etag.wish(call.request.headers)

    async def write(connection: Connection) -> Answer:
        row = await _held(connection, deployment, alias)
        etag.check(wish, None if row is None else row["revision"])
        if row is None:
            await _check_free(connection, deployment, alias)
        found = await connection.fetchval(VERSION_FIND, deployment["id"], asked.version)
        if found is None:
            raise Invalid("version", "is not a version of this deployment")
        if row is None or row["version_id"] != found:
            await _check_runs(connection, found, asked.force)
            await _move(connection, call, project, deployment, row, found)
        return await _answer(connection, call, deployment)

    return await call.once(write)


async def rollback(call: Call[NoQuery, RollBack]) -> Answer:
    project, deployment = await call.deployment()
    wish = etag.wish(call.request.headers)

    async def write(connection: Connection) -> Answer:
        row = await _held(connection, deployment, call.path["alias"])
        if row is None:
            raise refused.missing("alias")
        etag.check(wish, row["revision"])
        moves = await connection.fetch(ALIAS_MOVES, deployment["id"], row["name"])
        others = (move["version_id"] for move in moves if move["version_id"] != row["version_id"])
        before = next(others, None)
        if before is None:
            raise refused.conflict("no-version-before", "The alias never pointed elsewhere")
        await _check_runs(connection, before, call.body.force)
        await _move(connection, call, project, deployment, row, before)
        return await _answer(connection, call, deployment)

    return await call.once(write)


def _name(text: str) -> str:
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        raise Invalid("alias", "must be lower-case letters, digits and dashes") from None


async def _held(
    connection: Connection, deployment: Deployment, alias: str
) -> asyncpg.Record | None:
    """The alias, while nobody else moves one of the deployment's."""
    await connection.execute(DEPLOYMENT_LOCK, deployment["id"])
    return await connection.fetchrow(ALIAS, deployment["id"], alias)


async def _check_free(connection: Connection, deployment: Deployment, alias: str) -> None:
    if await connection.fetchval(VERSION_FIND, deployment["id"], alias) is not None:
        raise refused.conflict("name-taken", "The deployment has a version of that name")


async def _check_runs(connection: Connection, version: str, force: bool) -> None:
    """Traffic must not be sent to where nobody answers, unless it is asked for."""
    rows = await connection.fetch(VERSION_JOBS, version)
    idle = [
        Wrong(field=f"endpoints.{row['endpoint']}", message=f"its job is {row['state']}")
        for row in rows
        if row["state"] != State.RUNNING
    ]
    if idle and not force:
        first = f"{idle[0].field.removeprefix('endpoints.')}: {idle[0].message}"
        detail = f"{first}; wait until every endpoint runs, or send `force`"
        raise refused.conflict("not-running", "The version does not run", detail, *idle)


async def _move(
    connection: Connection,
    call: Call[Any, Any],
    project: Project,
    deployment: Deployment,
    row: asyncpg.Record | None,
    version: str,
) -> None:
    alias = call.path["alias"]
    values = (deployment["id"], alias, version, call.who.token)
    fact = AliasMoved(
        deployment=deployment["id"],
        alias=alias,
        version=VersionId(version),
        revision=await connection.fetchval(ALIAS_MOVE, *values),
        before=None if row is None else VersionId(row["version_id"]),
    )
    await announce(connection, fact, project=project.seq, source=project.source)


async def _answer(connection: Connection, call: Call[Any, Any], deployment: Deployment) -> Answer:
    row = await connection.fetchrow(ALIAS, deployment["id"], call.path["alias"])
    if row is None:
        raise refused.missing("alias")
    alias = await _view(connection, call, deployment, row)
    return Answer(alias, headers={"ETag": etag.made(alias.revision)})


async def _view(
    connection: Connection, call: Call[Any, Any], deployment: Deployment, row: asyncpg.Record
) -> Alias:
    moves = await connection.fetch(ALIAS_MOVES, deployment["id"], row["name"])
    version = await connection.fetchrow(versions.VERSION, row["version_id"])
    assert version is not None
    names = [endpoint["name"] for endpoint in version["definition"]["endpoints"]]
    place = (deployment["owner"], deployment["project"], deployment["name"], row["name"])
    return Alias(
        name=row["name"],
        version=row["version"],
        revision=row["revision"],
        changed_at=row["changed_at"],
        urls={name: urls.valohai(call.context.router_url, *place, name) for name in names},
        history=msgspec.convert([dict(move) for move in moves], list[AliasMove]),
    )
