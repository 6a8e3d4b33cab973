"""What becomes of a batch job when a try of it is over: finished, tried again, or failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.scheduler.driver import Driver
from services.scheduler.logs import clean
from services.scheduler.outputs import Outputs
from services.scheduler.reconcile import RecordEnded, quoting
from shared.blobs import Blob
from shared.database.jobs import advance
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.errors import Invalid, Permanent
from shared.events import JobFact, JobFailed, JobFinished, JobRetried

RETRIES = sql(__package__, "run_retries")
ENDED = sql(__package__, "run_ended")


class Runs:
    def __init__(
        self,
        database: Database,
        driver: Driver,
        outputs: Outputs | None,
        epoch: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Without `outputs` none are kept. `epoch` is that of shared.database.jobs."""
        self._database = database
        self._driver = driver
        self._outputs = outputs
        self._epoch = epoch

    async def ended(self, step: RecordEnded, lines: Sequence[str]) -> None:
        """`lines` are the last that it printed, oldest first."""
        if step.reason:
            reason = clean(quoting(step.reason, lines))
            if not await self._tried_again(step, reason):
                await self._failed(step, reason)
            return
        try:
            kept = await self._keep(step)
        except (Invalid, Permanent) as error:  # the same would come of another try
            await self._failed(step, clean(f"what it left can't be kept: {error}"))
            return
        fact = JobFinished(
            job=step.replica.job,
            attempt=step.replica.attempt,
            outputs=kept.digest if kept else "",
            outputs_size=kept.size if kept else 0,
        )
        async with self._database.transaction() as connection:
            await self._write(connection, fact, 0, kept=kept)

    async def _keep(self, step: RecordEnded) -> Blob | None:
        if self._outputs is None:
            return None
        return await self._outputs.keep(self._driver, step.replica)

    async def _tried_again(self, step: RecordEnded, reason: str) -> bool:
        """Queue it for another try; False when it has none left."""
        fact = JobRetried(
            job=step.replica.job,
            attempt=step.replica.attempt,
            reason=reason,
            exit_code=step.exit_code,
        )
        async with self._database.transaction() as connection:
            if not await connection.fetchval(RETRIES, fact.job, fact.attempt):
                return False
            await self._write(connection, fact, step.exit_code, spent=1)
        return True

    async def _failed(self, step: RecordEnded, reason: str) -> None:
        fact = JobFailed(job=step.replica.job, attempt=step.replica.attempt, reason=reason)
        async with self._database.transaction() as connection:
            await self._write(connection, fact, step.exit_code)

    async def _write(
        self,
        connection: Connection,
        fact: JobFact,
        exit_code: int | None,
        *,
        kept: Blob | None = None,
        spent: int = 0,
    ) -> None:
        """The move, and beside it how the try ended: both or neither."""
        if await advance(connection, fact, self._epoch()):
            digest, size = (kept.digest, kept.size) if kept else (None, None)
            await connection.execute(ENDED, fact.job, exit_code, digest, size, spent)
