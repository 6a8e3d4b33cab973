"""Writing a fact that moves no job. (A job's facts are written by `jobs.advance`.)"""

from __future__ import annotations

from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.events import Fact

ANNOUNCE = sql(__package__, "announce")


async def announce(
    connection: Connection, fact: Fact, *, project: int | None = None, source: str = "/"
) -> None:
    """Announce `fact` when the transaction that `connection` is in commits.

    `project` is the row number of the project whose subscribers may see it, None for the
    platform's operators only; `source` is `/<owner>/<project>`, or `/`, or `/<owner>` for what that
    owner may see besides.
    """
    await connection.execute(ANNOUNCE, fact.type, project, source, fact.subject, fact)
