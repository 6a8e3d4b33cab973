"""What people do meanwhile: they start, stop and scale, and some lay hands on the cluster."""

from __future__ import annotations

import random
from collections import Counter
from typing import Final

from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.manifests import names
from shared.database.jobs import scale
from shared.events import JobQueued, JobScaled, JobStopping
from shared.ids import JobId
from tests.scheduler.kubernetes.fake import Fake
from tests.scheduler.kubernetes.fake.store import Object
from tests.scheduler.kubernetes.referee import Referee
from tests.scheduler.stage import Stage

MOST: Final = 12  # jobs at once
COPIES: Final = 3
ACTS: Final = ("start", "start", "stop", "scale", "delete", "edit")
BY_HAND: Final = (*[kinds.PODS] * 4, kinds.SERVICES, kinds.SECRETS, kinds.DEPLOYMENTS)
LIVE: Final = "SELECT id, attempt, copies FROM jobs WHERE state IN ('starting', 'running')"


class Crowd:
    def __init__(
        self, stage: Stage, fake: Fake, referee: Referee, target: str, image: str, repository: str
    ) -> None:
        self._stage = stage
        self._fake = fake
        self._referee = referee
        self._target = target
        self._image = image
        self._repository = repository
        self.stopped: set[JobId] = set()
        self.done: Counter[str] = Counter()

    async def act(self, chance: random.Random) -> None:
        """One of them does something, if there is anything to do it to."""
        what = chance.choice(ACTS)
        rows = await self._stage.database.fetch(LIVE + " ORDER BY seq")
        if what == "start" and len(rows) < MOST:
            await self.start()
        elif not rows:
            return
        else:
            row = chance.choice(rows)
            job, attempt = JobId(row["id"]), row["attempt"]
            if what == "stop":
                await self.stop(job, attempt)
            elif what == "scale":
                others = [n for n in range(1, COPIES + 1) if n != row["copies"]]
                await self._scale(job, attempt, chance.choice(others))
            elif what == "delete":
                self._delete(chance, f"{job}-{attempt}")
            elif what == "edit":
                self._edit(chance, f"{job}-{attempt}")
        self.done[what] += 1

    async def meddle(self, chance: random.Random) -> None:
        """Hands on everything that is there: on each replica in another way."""
        for number, row in enumerate(await self._stage.database.fetch(LIVE + " ORDER BY seq")):
            replica = f"{row['id']}-{row['attempt']}"
            if number % 2:
                self._edit(chance, replica)
            else:
                self._delete(chance, replica, kinds.SECRETS if number % 4 else kinds.SERVICES)

    async def start(self) -> JobId:
        job = await self._stage.job(image=self._image, target=self._target, queued=False)
        await self._stage.database.execute(
            "UPDATE versions SET repository = $1 WHERE repository = ''", self._repository
        )
        await self._stage.say(JobQueued(job=job))
        return job

    async def stop(self, job: JobId, attempt: int) -> None:
        self._referee.may_go(f"{job}-{attempt}")
        if await self._stage.say(JobStopping(job=job, attempt=attempt)):
            self.stopped.add(job)

    async def _scale(self, job: JobId, attempt: int, copies: int) -> None:
        async with self._stage.database.transaction() as connection:
            await scale(connection, JobScaled(job=job, attempt=attempt, copies=copies))

    def _delete(self, chance: random.Random, replica: str, kind: Kind | None = None) -> None:
        kind = kind or chance.choice(BY_HAND)
        if found := self._objects(kind, replica):
            if kind is kinds.DEPLOYMENTS:
                self._referee.may_go(replica)
            self._fake.remove(kind, chance.choice(found)["metadata"]["name"])

    def _edit(self, chance: random.Random, replica: str) -> None:
        """Its number of copies, its labels, or what its pods are."""
        for found in self._objects(kinds.DEPLOYMENTS, replica):
            self._referee.may_roll(replica)
            spec = found["spec"]
            template = spec["template"]
            changed = chance.choice(
                (
                    {"replicas": spec["replicas"] + 1},
                    {"replicas": 0},
                    {"template": template | {"spec": template["spec"] | {"priority": 7}}},
                    {"template": _with_image(template, "somebody/elses:latest")},
                )
            )
            self._fake.store.update("deployments", found | {"spec": spec | changed})

    def _objects(self, kind: Kind, replica: str) -> list[Object]:
        return [
            each
            for each in self._fake.store.find(kind.plural)
            if (each["metadata"].get("labels") or {}).get(names.REPLICA) == replica
            and not each["metadata"].get("deletionTimestamp")
        ]


def _with_image(template: Object, image: str) -> Object:
    first, *others = template["spec"]["containers"]
    spec = template["spec"] | {"containers": [first | {"image": image}, *others]}
    return template | {"spec": spec}
