"""The applications table: the one place that moves an application from state to state.

A change and the fact that tells it are one statement, which does nothing when the application has
moved on. Whoever gives an application its next revision holds it from before it looks at what
answers now (`held`): a servable that is shared with the revision that answers is then kept, since
that revision is not retired meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shared.application import ApplicationState, Graph
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.events import (
    ApplicationFailed,
    ApplicationReady,
    ApplicationRemoved,
    ApplicationSubmitted,
)
from shared.ids import ApplicationId

APPLICATION = sql(__package__, "application")
LOCK = sql(__package__, "application_lock")
REVISION = sql(__package__, "revision")
MAKE = sql(__package__, "application_make")
REVISE = sql(__package__, "application_revise")
READY = sql(__package__, "application_ready")
FAIL = sql(__package__, "application_fail")
REMOVE = sql(__package__, "application_remove")


class Application(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    id: ApplicationId
    owner: str
    project: str
    name: str
    target: str
    state: ApplicationState
    reason: str
    revision: int  # the newest
    live: int | None  # the one that answers
    created_at: datetime
    changed_at: datetime


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    application: ApplicationId
    revision: int
    graph: Graph
    written: Any  # as its owner wrote it
    created_at: datetime
    retired_at: datetime | None


async def get(database: Database, application: ApplicationId) -> Application | None:
    async with database.connection() as connection:
        return await _find(connection, application, None)


async def named(connection: Connection, name: str) -> Application | None:
    """The one that has this name now: there is one at most on the platform."""
    return await _find(connection, None, name)


async def held(connection: Connection, name: str) -> Application | None:
    """The same, as it stays until the transaction ends."""
    found = await named(connection, name)
    if found is None:
        return None
    await connection.execute(LOCK, found.id)
    found = await _find(connection, found.id, None)
    return None if found is None or found.state is ApplicationState.REMOVED else found


async def revision(
    connection: Connection, application: ApplicationId, number: int
) -> Revision | None:
    row = await connection.fetchrow(REVISION, application, number)
    return None if row is None else msgspec.convert(dict(row), Revision)


async def make(
    connection: Connection,
    fact: ApplicationSubmitted,
    *,
    project: int,
    target: str,
    graph: Graph,
    written: Any,
) -> bool:
    """Write down a new application. Its jobs are made after it, in the same transaction.

    False: its name is taken.
    """
    values = (fact.application, project, fact.name, target, graph, written, fact.type, fact)
    return await connection.fetchval(MAKE, *values) is not None


async def revise(
    connection: Connection, fact: ApplicationSubmitted, *, graph: Graph, written: Any
) -> bool:
    """Give an application the revision that `fact` is about.

    False: it is not the next one, or the application is removed.
    """
    values = (fact.application, fact.revision, graph, written, fact.type, fact)
    return await connection.fetchval(REVISE, *values) is not None


async def remove(connection: Connection, fact: ApplicationRemoved) -> bool:
    """False: it is removed already, or has another revision by now."""
    values = (fact.application, fact.revision, fact.type, fact)
    return await connection.fetchval(REMOVE, *values) is not None


async def ready(database: Database, fact: ApplicationReady) -> bool:
    """Let a revision answer in the place of all older ones.

    False: there is a newer one, one of its servables does not run, or it answers already.
    """
    values = (fact.application, fact.revision, fact.type, fact)
    return await database.value(READY, *values) is not None


async def fail(database: Database, fact: ApplicationFailed) -> bool:
    """False: there is a newer revision, the application is removed, or all that is known."""
    values = (fact.application, fact.revision, fact.reason, fact.type, fact)
    return await database.value(FAIL, *values) is not None


async def _find(
    connection: Connection, application: ApplicationId | None, name: str | None
) -> Application | None:
    row = await connection.fetchrow(APPLICATION, application, name)
    return None if row is None else msgspec.convert(dict(row), Application)
