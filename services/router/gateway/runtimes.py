"""The runtimes behind the table's jobs, each made when it is first asked."""

from __future__ import annotations

from collections.abc import Collection

from services.router.gateway.runtime import Runtime, Ways
from services.router.table import Route, Table
from shared.ids import JobId


class Runtimes:
    def __init__(self, table: Table, ways: Ways) -> None:
        self._table = table
        self._ways = ways
        self._known: dict[JobId, Runtime] = {}
        table.listen(self._hear)

    def of(self, route: Route) -> Runtime:
        runtime = self._known.get(route.job)
        if runtime is None:
            runtime = self._known[route.job] = Runtime(route, self._ways)
        return runtime

    def forget(self) -> None:
        """Drop those whose jobs are over; their channels were let go of with their copies."""
        for job in [job for job, runtime in self._known.items() if runtime.idle]:
            if job not in self._table:
                del self._known[job]

    async def close(self) -> None:
        for runtime in self._known.values():
            await runtime.close()
        self._known.clear()

    def _hear(self, jobs: Collection[JobId] | None) -> None:
        for job in list(self._known) if jobs is None else jobs:
            if runtime := self._known.get(job):
                runtime.take(self._table.job(job))
