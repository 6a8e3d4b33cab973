"""Counts samples of traffic in, reads training data once, and compares the two.

Samples leave their table in the transaction that counts them in, so each is counted once. Any
number of builders may do this: versions are counted by one at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from services.builder.profiles import store, table
from services.builder.profiles.compare import Sketch, distances
from services.builder.profiles.sketches import profiled
from services.builder.profiles.values import add, leaf
from shared import ids
from shared.blobs import Blobs
from shared.buckets import Buckets
from shared.contract import Contract
from shared.database.pool import TROUBLE, Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import Definition
from shared.errors import Invalid, Permanent, Transient
from shared.ids import VersionId
from shared.run import pause
from shared.sample import Sample

log = logging.getLogger(__name__)

TRAINING_NOTE = sql(__package__, "training_note")
TRAINING_TAKE = sql(__package__, "training_take")
TRAINING_END = sql(__package__, "training_end")

AT_ONCE: Final = 100  # samples in one transaction ...
BYTES: Final = 8 << 20  # ... that are not more than that; it would take longer than one may
OFTEN: Final = 2.0  # seconds between two looks
LEASE: Final = 900.0  # seconds for one file
TRIES: Final = 5
LARGEST: Final = 4 << 30  # bytes of a file
WINDOW: Final = timedelta(hours=24)  # of traffic that is compared
ONE: Final = 7_200_301  # the lock of who counts


class Profiling:
    def __init__(self, database: Database, blobs: Blobs, buckets: Buckets, folder: Path) -> None:
        self._database = database
        self._blobs = blobs
        self._buckets = buckets
        self._folder = folder

    async def loop(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            more = False
            try:
                more = await self.count()
                more = await self.train() or more
            except Transient as error:
                log.warning("profiles wait: %s", error)
            if not more:
                await pause(OFTEN, stopping)

    async def count(self) -> bool:
        """Count some samples in; whether there may be more."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", ONE):
                return False
            taken = await store.samples(connection, AT_ONCE, BYTES)
            by_hour: dict[tuple[VersionId, datetime], list[bytes]] = defaultdict(list)
            for sample in taken:
                by_hour[sample.version, sample.hour].append(sample.body)
            for (version, hour), bodies in by_hour.items():
                try:
                    async with connection.transaction():
                        await self._count(connection, version, hour, bodies)
                except TROUBLE:
                    raise
                except Exception:  # what comes from strangers must not stop all others
                    log.exception("samples of %s are left out", version)
        return len(taken) == AT_ONCE or sum(len(sample.body) for sample in taken) >= BYTES

    async def _count(
        self, connection: Connection, version: VersionId, hour: datetime, bodies: Sequence[bytes]
    ) -> None:
        contract = await store.contract(connection, version)
        if contract is None:
            return
        fresh = await asyncio.to_thread(counted, contract, bodies)
        hourly = await store.known(connection, version, contract, "traffic", hour, hour)
        for field, sketch in hourly.items():
            if field in fresh:
                fresh[field].merge(sketch)  # type: ignore[arg-type]
        await store.keep(connection, version, "traffic", fresh, hour)
        await self._compare(connection, version, contract, hour - WINDOW)

    async def _compare(
        self, connection: Connection, version: VersionId, contract: Contract, since: datetime
    ) -> None:
        traffic = await store.known(connection, version, contract, "traffic", since)
        await store.keep(connection, version, "recent", traffic)
        training = await store.known(connection, version, contract, "training")
        for field, sketch in traffic.items():
            if field in training:
                found = distances(training[field], sketch)
                await store.keep_distances(connection, version, field, sketch.rows, found)

    async def train(self) -> bool:
        """Read the training data of one version; whether there was one."""
        await self._database.execute(TRAINING_NOTE)
        row = await self._database.row(TRAINING_TAKE, LEASE)
        if row is None:
            return False
        version = VersionId(row["version"])
        definition = msgspec.convert(row["definition"], Definition)
        try:
            if row["tries"] > TRIES:  # those before took their builder along
                raise Permanent(f"reading it was begun {TRIES} times and never ended")
            found = await self._read(definition, row["project"])
        except Transient as error:
            if row["tries"] < TRIES:
                log.warning("the training data of %s waits: %s", version, error)
                return False
            await self._database.execute(TRAINING_END, version, "failed", 0, [], str(error))
        except (Invalid, Permanent) as error:
            await self._database.execute(TRAINING_END, version, "failed", 0, [], str(error))
        except Exception:  # by a stranger's file, for which nobody else's may wait
            log.exception("the training data of %s can't be read", version)
            why = "it can't be read; the builder's log says more"
            await self._database.execute(TRAINING_END, version, "failed", 0, [], why)
        else:
            async with self._database.transaction() as connection:
                ended = (version, "ready", found.rows, list(found.notes), "")
                if await connection.fetchval(TRAINING_END, *ended):
                    await store.keep(connection, version, "training", found.sketches)
        return True

    async def _read(self, definition: Definition, project: str) -> table.Training:
        contract, training = store.contract_of(definition), definition.training
        if contract is None or training is None:
            return table.Training(rows=0, sketches={}, notes=())
        path = self._folder / ids.new("training-")
        try:
            chunks = (
                self._blobs.stream(training.digest)
                if training.digest
                else self._buckets.stream(training.uri, project)
            )
            size = 0
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > LARGEST:
                        raise Invalid(table.FIELD, f"is larger than the {LARGEST} bytes allowed")
                    await asyncio.to_thread(file.write, chunk)
            return await asyncio.to_thread(table.read, path, contract)
        finally:
            path.unlink(missing_ok=True)


def counted(contract: Contract, bodies: Sequence[bytes]) -> dict[str, Sketch]:
    """What some samples say of each field. One that can't be read is left out."""
    wanted = [(name, field, kind()) for name, field, kind in profiled(contract)]
    for body in bodies:
        try:
            sample = msgspec.msgpack.decode(body, type=Sample)
        except msgspec.DecodeError:
            continue
        sides = {"inputs": sample.inputs, "outputs": sample.outputs}
        for name, field, sketch in wanted:
            side, _, rest = name.partition(".")
            if (tensor := leaf(sides[side], rest)) is not None:
                add(sketch, field, tensor)
    return {name: sketch for name, _, sketch in wanted if sketch.rows}
