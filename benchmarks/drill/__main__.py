"""`make drill`: kill -9 of every service, the broker and the database at random moments, while jobs
come in.

Afterwards: every accepted job has ended as it had to, every event of the log has reached a
subscriber, and no two replicas ever held one GPU. Exits with 1 and says what was broken otherwise.
`--plant FAULT` puts a mistake into a service first; the drill then has to fail.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from benchmarks.drill.checker import Record, check
from benchmarks.drill.faulty import FAULTS
from benchmarks.drill.load import Client, Load, Promises, empty_source, retried
from benchmarks.drill.scene import GPUS, VICTIMS, Scene, Subscriber, leftovers, stage
from tests.servers import rabbitmq

ENDED = ("stopped", "failed", "terminated")
SHARED = Path.home() / ".cache" / "slipway"  # replicas see it; each has a /tmp of its own


class Drill:
    def __init__(
        self,
        scene: Scene,
        subscriber: Subscriber,
        load: Load,
        promises: Promises,
        referee: Path,
    ) -> None:
        self._scene = scene
        self._subscriber = subscriber
        self._load = load
        self._promises = promises
        self._referee = referee

    async def run(self, kills: int, patience: float, rng: random.Random) -> Record:
        calm, over = asyncio.Event(), asyncio.Event()  # no more jobs; no more kills
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._scene.keep_alive(over))
            jobs = group.create_task(self._load.until(calm))
            await self._kill(kills, rng)
            calm.set()
            await jobs
            print(f"\nsettling {len(self._promises.accepted)} accepted jobs …", flush=True)
            record = await self._settle(patience)
            over.set()
            await keeper
        return record

    async def _kill(self, kills: int, rng: random.Random) -> None:
        """Each victim in turn, in a new order every round, so that none is spared."""
        order: list[str] = []
        for number in range(1, kills + 1):
            await asyncio.sleep(rng.uniform(0.2, 2.0))
            order = order or rng.sample(VICTIMS, len(VICTIMS))
            victim = order.pop()
            await self._scene.kill(victim)
            accepted = len(self._promises.accepted)
            print(f"  {number:3}/{kills}  kill -9 {victim:<10} {accepted:4} accepted", flush=True)

    async def _settle(self, patience: float) -> Record:
        """Wait as long as it helps; what is not right by then is for the checker to tell."""
        try:
            await retried(self._look, within=patience)
        except AssertionError as error:
            print(f"  {error}", flush=True)
        holds = await self._scene.holds()
        return Record(
            accepted=dict(self._promises.accepted),
            ended=await self._scene.states(),
            reasons=await self._scene.reasons(),
            announced=await self._scene.logged(),
            received=frozenset(self._subscriber.received),
            holds=holds,
            collisions=await self._scene.collisions(),
            leftovers=leftovers(self._referee),
            gpus=GPUS,
            free=GPUS - sum(hold.until is None for hold in holds),
        )

    async def _look(self) -> None:
        """Raises AssertionError while something is still on its way."""
        await self._stop_all()
        held = sum(hold.until is None for hold in await self._scene.holds())
        assert not held, f"{held} GPUs are still held"
        missing = await self._scene.logged() - self._subscriber.received
        assert not missing, f"{len(missing)} events have not reached the subscriber"
        left = leftovers(self._referee)
        assert not left, f"{len(left)} processes of replicas live on"

    async def _stop_all(self) -> None:
        states = await self._scene.states()
        unended = [
            job
            for job in self._promises.accepted
            if states.get(job, ("gone",))[0] not in (*ENDED, "gone")
        ]
        for job in unended[:50]:
            if self._promises.accepted[job] == "stopped":
                await self._load.stop(job)
        assert not unended, f"{len(unended)} jobs have not ended"


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Subscriber]:
    """A subscriber that is there before the first event, and to the end."""
    subscriber, over = Subscriber(url), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(subscriber.run(over))
        await subscriber.until_it_hears()
        yield subscriber
        over.set()


async def drill(kills: int, seed: int, fault: str | None, patience: float) -> tuple[Record, Scene]:
    rng = random.Random(seed)
    home = Path(tempfile.mkdtemp(prefix="slipway-drill-"))
    SHARED.mkdir(parents=True, exist_ok=True)
    referee = Path(tempfile.mkdtemp(prefix="slipway-referee-", dir=SHARED))
    for number in range(GPUS):
        (referee / f"gpu-{number}").touch()  # replicas can't: the machine is read-only to them
    promises = Promises(home / "promises")
    try:
        with rabbitmq(home / "rabbit") as broker:
            async with (
                listening(broker.url) as subscriber,
                stage(home, broker) as scene,
                aiohttp.ClientSession() as http,
            ):
                client = Client(http, scene.platform.api_url, scene.platform.token)
                source = await client.upload(empty_source())
                await scene.plant(fault)
                load = Load(client, promises, referee, source, rng)
                await load.ready()
                work = Drill(scene, subscriber, load, promises, referee)
                return await work.run(kills, patience, rng), scene
    finally:
        promises.close()
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(referee, ignore_errors=True)


def report(record: Record, scene: Scene, seconds: float) -> int:
    killed = ", ".join(f"{name} {count}" for name, count in scene.kills.items())
    print(f"\nkilled: {killed}; in {seconds:.0f} s")
    print(
        f"accepted jobs {len(record.accepted)} · events {len(record.announced)} · "
        f"allocations {len(record.holds)}"
    )
    wrong = check(record)
    for line in wrong[:20]:
        print(f"  ✗ {line}")
    if len(wrong) > 20:
        print(f"  … and {len(wrong) - 20} more")
    print(f"{len(wrong)} broken promises" if wrong else "every promise was kept")
    return 1 if wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--kills", type=int, default=60, help="how many (default 60)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="replays the choices")
    parser.add_argument("--patience", type=float, default=180, help="seconds to settle")
    parser.add_argument("--plant", choices=sorted(FAULTS), help="a fault that must be caught")
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    logging.disable(logging.ERROR)  # the drill's own ends of what it kills
    print(f"drill: {asked.kills} kills, seed {asked.seed}, planted: {asked.plant}", flush=True)
    record, scene = asyncio.run(drill(asked.kills, asked.seed, asked.plant, asked.patience))
    return report(record, scene, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
