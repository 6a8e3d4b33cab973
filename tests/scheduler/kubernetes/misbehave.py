"""A scheduler and its driver on a cluster whose API server misbehaves once a second, while people do
what they do. Afterwards all has to be as the tables say, nothing may be left over, and nothing
healthy may have been ended on the way.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from services.scheduler.drivers import Kubernetes
from services.scheduler.drivers.kubernetes.open import open_kubernetes
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.registry import Credentials
from tests.beds.registry import registry
from tests.scheduler.container.bed import Bed
from tests.scheduler.images import Base, image
from tests.scheduler.kubernetes.crowd import Crowd
from tests.scheduler.kubernetes.fake import Fake, Fault, open_fake
from tests.scheduler.kubernetes.fake.controllers import ready
from tests.scheduler.kubernetes.referee import Referee
from tests.scheduler.stage import Stage

TARGET: Final = "cluster"
FIRST: Final = 6  # jobs that there are when it begins
EVERY: Final = 0.5  # seconds between two looks of the scheduler when nothing happens
CALM: Final = 3.0  # seconds in which nothing has to be written
JOBS: Final = """
SELECT id, attempt, state::text, copies, granted, addresses, reason FROM jobs ORDER BY seq
"""
READS: Final = ("get", "list", "watch")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`wrong` is all that is; the rest is for people."""

    wrong: list[str]
    settled: float | None  # seconds after the last fault; None: never
    faults: dict[str, int]
    acts: dict[str, int]
    calls: int
    lists: int


class Trial:
    def __init__(self, stage: Stage, fake: Fake, referee: Referee, crowd: Crowd) -> None:
        self._stage = stage
        self._fake = fake
        self._referee = referee
        self._crowd = crowd

    async def run(self, seconds: float, seed: int, patience: float, every: float = 1.0) -> Outcome:
        chance = random.Random(seed)
        for _ in range(FIRST):
            await self._crowd.start()
        storm = asyncio.create_task(self._fake.trouble.storm(seconds, seed, every))
        while not storm.done():
            await self._crowd.act(chance)
            await asyncio.wait({storm}, timeout=chance.uniform(0.2, 1.0))
        await storm
        self._fake.store.compact()
        self._fake.trouble.arm(Fault.EXPIRE)  # so that each run has lists, and hands, at its end
        await self._crowd.meddle(chance)
        self._fake.trouble.calm()
        wrong, took = await self._settle(patience)
        if took is not None:
            wrong = await self._writes()
        requests = self._fake.server.requests
        return Outcome(
            wrong=[*self._referee.wrong, *self._referee.hurried(), *wrong],
            settled=took,
            faults={fault.name: count for fault, count in self._fake.trouble.met.items()},
            acts=dict(self._crowd.done),
            calls=sum(requests.values()),
            lists=self._referee.lists,
        )

    async def _settle(self, patience: float) -> tuple[list[str], float | None]:
        began = time.monotonic()
        while True:
            wrong = await self._unsettled()
            took = time.monotonic() - began
            if not wrong:
                return [], took
            if took > patience:
                return [f"after {took:.0f} s of calm: {each}" for each in wrong], None
            await asyncio.sleep(0.2)

    async def _writes(self) -> list[str]:
        """What is written while nothing has to be."""
        before, version = Counter(self._fake.server.requests), self._fake.store.version
        await asyncio.sleep(CALM)
        more = self._fake.server.requests - before
        written = [f"{n} x {verb} {what}" for (verb, what), n in more.items() if verb not in READS]
        if self._fake.store.version != version:
            written.append("some object changed")
        return [f"written though all was well: {each}" for each in written]

    async def _unsettled(self) -> list[str]:
        wrong, wanted = [], set()
        for row in await self._stage.database.fetch(JOBS):
            replica = f"{row['id']}-{row['attempt']}"
            if row["id"] in self._crowd.stopped:
                if row["state"] != "stopped":
                    wrong.append(f"{replica} is {row['state']}, and was to stop")
                continue
            wanted.add(replica)
            if row["state"] != "running" or row["granted"] != row["copies"]:
                wrong.append(f"{replica} is {row['state']} {row['reason']}".rstrip())
            else:
                wrong += self._of(replica, row["copies"], row["addresses"])
        left = self._referee.replicas()
        return wrong + [f"{left[each]} objects of {each}" for each in left.keys() - wanted]

    def _of(self, replica: str, copies: int, addresses: list[str]) -> list[str]:
        find, namespace = self._fake.store.find, self._fake.namespace
        parts = ("configmaps", "secrets", "services", "deployments")
        missing = [
            f"{replica} has no {plural}"
            for plural in parts
            if not any(each["metadata"]["name"] == replica for each in find(plural, namespace))
        ]
        pods = [
            pod
            for pod in find("pods", namespace)
            if pod["metadata"]["name"].startswith(f"{replica}-") and ready(pod)
        ]
        if len(pods) != copies:
            missing.append(f"{replica} has {len(pods)} copies, not {copies}")
        theirs = sorted(f"doorman://{pod['status']['podIP']}:7200" for pod in pods)
        if sorted(addresses) != theirs:
            missing.append(f"{replica} is to be found at {addresses}, and is at {theirs}")
        return missing


@asynccontextmanager
async def trial(folder: Path, database: Database) -> AsyncIterator[Trial]:
    """All of it, working; `database` is empty but for its tables."""
    stage = Stage(database)
    await stage.prepare()
    blobs = Blobs.open(f"file:{folder / 'blobs'}")
    async with registry(folder / "registry") as address, open_fake(folder) as fake:
        digest = await image(blobs, "serve", user="1000:1000")
        repository = await Bed(None, address, Base()).push(blobs, digest)
        settings = Kubernetes(
            kubeconfig=str(fake.kubeconfig),
            namespace=fake.namespace,
            target=TARGET,
            doorman_image=f"{repository}@{digest}",
            doorman_key=secrets.token_hex(32),
            drain=0.0,
            network_policies="unasked",
        )
        referee = Referee(fake)
        crowd = Crowd(stage, fake, referee, TARGET, digest, repository)
        async with open_kubernetes(settings, Credentials()) as driver:
            options = Options(
                policy=Policy(drain=0.0, patience=1.0), stop_grace=0.2, repair_every=1.0
            )
            scheduler = Scheduler(database, driver, target=TARGET, options=options)
            stopping = asyncio.Event()
            acting = asyncio.create_task(scheduler.act(stopping, every=EVERY))
            try:
                yield Trial(stage, fake, referee, crowd)
                if acting.done():
                    acting.result()
            finally:
                stopping.set()
                acting.cancel()
                with suppress(asyncio.CancelledError):
                    await acting
