"""Batch jobs: commands of a version that run to an end, and what they leave behind."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

from slipway import unpack
from slipway.calls.base import Ask, at, given
from slipway.calls.jobs import Jobs
from slipway.errors import Slow
from slipway.types_runs import Series

ENDED: Final = frozenset({"finished", "failed", "stopped", "terminated", "purged"})

Watcher = Callable[[Series], None]
"""Told of a series whenever another number of its jobs is in some state."""


class Wishes(TypedDict, total=False):
    """What may be said of a run. What is not is as the endpoint has it, or as the platform does."""

    endpoint: str | None  # whose image; may be left out where the version has one
    name: str | None
    gpu_type: str | Sequence[str] | None  # several: in order of preference; cpu: none
    gpu_count: int | None
    max_price: float | None  # per GPU and hour
    array: int | None  # how many jobs
    retries: int | None  # more tries
    timeout: float | None  # seconds of each try
    environment: Mapping[str, str] | None
    scheduling: Mapping[str, Any] | None


class Runs(Jobs):
    async def run(
        self,
        /,
        deployment: str,
        version: str,
        command: str | Sequence[str],
        *,
        project: str | None = None,
        **wishes: Unpack[Wishes],
    ) -> Series:
        """Run shell lines in the image of a version, which is named by its name or an alias."""
        path = await self._at(project, deployment, "versions", version, "runs")
        return await self._transport.post(path, Series, ask(command, wishes))

    async def run_of_job(
        self, /, job: str, command: str | Sequence[str], **wishes: Unpack[Wishes]
    ) -> Series:
        """Run shell lines in the image of a job, whatever became of the job."""
        return await self._transport.post(f"/jobs/{at(job)}/runs", Series, ask(command, wishes))

    async def series(self, series: str) -> Series:
        return await self._transport.get(f"/series/{at(series)}", Series)

    async def stop_series(self, series: str) -> Series:
        """Stop all of its jobs that have not ended."""
        return await self._transport.post(f"/series/{at(series)}/stop", Series)

    async def terminate_series(self, series: str) -> Series:
        """Give all of its jobs up for good that have ended, with what they left."""
        return await self._transport.post(f"/series/{at(series)}/terminate", Series)

    async def wait_for_series(
        self,
        series: str,
        *,
        timeout: float | None = None,
        watch: Watcher = lambda series: None,
    ) -> Series:
        """Wait until all of its jobs have ended, however. Raises Slow after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                return await self._until_ended(series, watch)
        except TimeoutError as error:
            hint = f"see `slipway series show {series}`"
            raise Slow(f"series {series} has not ended within {timeout:g} s", hint) from error

    async def _until_ended(self, series: str, watch: Watcher) -> Series:
        seen: Mapping[str, int] = {}
        pause = 0.1
        while True:
            found = await self.series(series)
            if found.counts != seen:
                seen, pause = found.counts, 0.1
                watch(found)
            if found.counts.keys() <= ENDED:
                return found
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 2.0)

    async def save_outputs(self, job: str, path: str | Path) -> int:
        """Write what a job left into a tar file; its size in bytes."""
        return await self._transport.download(f"/jobs/{at(job)}/outputs", Path(path))

    async def outputs(self, job: str, into: str | Path) -> list[str]:
        """Unpack what a job left into the folder `into`; the files' paths in it.

        A file that is there is replaced. Raises BadSource for what is not a tar of plain files.
        """
        with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
            packed = Path(folder) / "outputs.tar"
            await self.save_outputs(job, packed)
            return await asyncio.to_thread(unpack.unpack, packed, Path(into))


def ask(command: str | Sequence[str], wishes: Wishes) -> Ask:
    types = wishes.get("gpu_type")
    gpus = given(
        types=[types] if isinstance(types, str) else types,
        count=wishes.get("gpu_count"),
        max_price=wishes.get("max_price"),
    )
    same = ("endpoint", "name", "array", "retries", "timeout", "scheduling")
    return given(
        command=command if isinstance(command, str) else list(command),
        gpus=gpus or None,
        variables=wishes.get("environment"),
        **{name: wishes.get(name) for name in same},
    )
