"""Jobs that hold a GPU on which nothing can go on: they fail with why that is.

Batch jobs with tries left have the next one. What is left of their processes is stopped as of any
job that is not wanted, and their GPUs are released then and not before.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.scheduler.logs import clean
from services.scheduler.runs import ENDED
from shared.database.jobs import advance
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.events import JobFact, JobFailed, JobRetried

CASUALTIES = sql(__package__, "casualties")


async def end(connection: Connection, broken: Mapping[str, str]) -> None:
    """`broken` are GPUs, each with why. In a transaction of the caller's; called again it ends
    nobody twice."""
    if not broken:
        return
    for row in await connection.fetch(CASUALTIES, list(broken)):
        job, attempt, gpu = row["job"], row["attempt"], row["gpu"]
        reason = clean(f"its GPU {gpu} is lost: {broken[gpu]}")
        fact: JobFact = JobFailed(job=job, attempt=attempt, reason=reason)
        if row["retries"]:
            fact = JobRetried(job=job, attempt=attempt, reason=reason, exit_code=None)
        moved = await advance(connection, fact)
        if moved and row["retries"]:
            await connection.execute(ENDED, job, None, None, None, 1)
