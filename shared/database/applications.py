"""What follows for applications from how their servables are.

People submit and remove them (services/api); here they become ready, and fail. A change and the
fact that tells it are one statement, which does nothing when the application has moved on.
"""

from __future__ import annotations

from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.events import ApplicationFailed, ApplicationReady

READY = sql(__package__, "application_ready")
FAIL = sql(__package__, "application_fail")
RETIRE = sql(__package__, "application_retire")


async def ready(connection: Connection, fact: ApplicationReady) -> bool:
    """Let a revision answer in the place of all older ones.

    False: there is a newer one, one of its servables does not run, or it answers already.
    """
    values = (fact.application, fact.revision, fact.type, fact)
    return await connection.fetchval(READY, *values) is not None


async def fail(connection: Connection, fact: ApplicationFailed) -> bool:
    """Write down why a revision can't answer. What answers goes on answering.

    False: there is a newer revision, the application is removed, or all that is known.
    """
    values = (fact.application, fact.revision, fact.reason, fact.type, fact)
    return await connection.fetchval(FAIL, *values) is not None


async def retire(connection: Connection, target: str, hopeless: float) -> None:
    """Give up the revisions that were replaced before they answered, and the newest that can't
    answer since `hopeless` seconds. An application whose newest revision is given up stays failed,
    for the reason that is written down, until it is applied anew."""
    await connection.execute(RETIRE, target, hopeless)
