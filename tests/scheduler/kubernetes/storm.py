"""Informers and the door in a storm of faults; afterwards each picture is what the server has.

The driver has a run of its own, in `misbehave`, with a scheduler on top.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.scheduler.drivers.kubernetes.answers import Object
from services.scheduler.drivers.kubernetes.door import Cluster, open_cluster
from services.scheduler.drivers.kubernetes.informer import Informer
from services.scheduler.drivers.kubernetes.kinds import CONFIGMAPS, DEPLOYMENTS, PODS, Kind
from services.scheduler.drivers.kubernetes.metadata import Seen
from services.scheduler.drivers.kubernetes.wire import Limits
from shared.errors import PlatformError, Transient
from tests.scheduler.kubernetes.contract import configmap, deployment
from tests.scheduler.kubernetes.fake import Fake, open_fake

WATCHED: Final = (CONFIGMAPS, DEPLOYMENTS, PODS)
PATIENCE: Final = 60.0  # seconds after the last fault until all must be well
LIMITS: Final = Limits(attempt=1.0, silence=3.0, rate=1000.0)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    differences: list[str]  # of a picture and the truth; none is good
    hurried: list[str]  # informers that listed more than once a second
    lists: int
    objects: int
    faults: dict[str, int]


async def storm(seconds: float, seed: int, folder: Path, *, every: float = 1.0) -> Report:
    """One fault each `every` seconds, and people who make and delete things meanwhile."""
    async with (
        open_fake(folder) as fake,
        open_cluster(str(fake.kubeconfig), "", fake.namespace, LIMITS) as cluster,
    ):
        informers: list[Informer[Seen]] = [Informer(cluster, kind, Seen) for kind in WATCHED]
        loop = asyncio.get_running_loop()
        began = loop.time()
        running = [asyncio.create_task(informer.run()) for informer in informers]
        storming = asyncio.create_task(fake.trouble.storm(seconds, seed, every))
        try:
            wanted = await _work(fake, cluster, random.Random(seed), storming)
            await storming
            fake.trouble.calm()
            await _settle(cluster, wanted)
            differences = await _differences(fake, cluster, wanted, informers)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        took = loop.time() - began
        return Report(
            differences=differences,
            hurried=[
                f"{kind.plural}: {informer.lists} lists in {took:.1f} s"
                for kind, informer in zip(WATCHED, informers, strict=True)
                if informer.lists > took + 1
            ],
            lists=sum(informer.lists for informer in informers),
            objects=len(fake.store.objects),
            faults={fault.name: count for fault, count in fake.trouble.met.items()},
        )


async def _work(
    fake: Fake, cluster: Cluster, chance: random.Random, until: asyncio.Task[None]
) -> dict[tuple[Kind, str], Object]:
    """What shall be there in the end, of what was made meanwhile."""
    wanted: dict[tuple[Kind, str], Object] = {}
    number = 0
    while not until.done():
        number += 1
        kind, name = chance.choice((CONFIGMAPS, DEPLOYMENTS)), f"a-{chance.randrange(10)}"
        try:
            match chance.choice(
                ("apply", "apply", "apply", "delete", "by hand", "rotate", "forget")
            ):
                case "apply" if kind is CONFIGMAPS:
                    wanted[kind, name] = configmap(name, one=str(number))
                    await cluster.apply(wanted[kind, name])
                case "apply":
                    wanted[kind, name] = deployment(name, "shell", replicas=chance.randrange(4))
                    await cluster.apply(wanted[kind, name])
                case "delete":
                    wanted.pop((kind, name), None)
                    await cluster.delete(kind, name)
                case "by hand" if pods := fake.store.find("pods"):
                    fake.remove(PODS, chance.choice(pods)["metadata"]["name"])
                case "rotate" if number % 7 == 0:
                    fake.rotate(f"token-{number}")
                case "forget" if number % 5 == 0:
                    fake.store.compact()
        except Transient:
            pass  # it may have been done, or not: the end tells
        await asyncio.wait({until}, timeout=chance.uniform(0.01, 0.1))
    return wanted


async def _settle(cluster: Cluster, wanted: dict[tuple[Kind, str], Object]) -> None:
    for kind in (CONFIGMAPS, DEPLOYMENTS):
        for number in range(10):
            name = f"a-{number}"
            if manifest := wanted.get((kind, name)):
                await cluster.apply(manifest)
            else:
                await cluster.delete(kind, name)


async def _differences(
    fake: Fake,
    cluster: Cluster,
    wanted: dict[tuple[Kind, str], Object],
    informers: Sequence[Informer[Seen]],
) -> list[str]:
    """What differs when all have had their time; looked at until nothing does."""
    end = asyncio.get_running_loop().time() + PATIENCE
    while True:
        found = []
        for kind, informer in zip(WATCHED, informers, strict=True):
            picture = {
                key: seen.metadata.resource_version for key, seen in informer.objects.items()
            }
            truth = fake.truth(kind)
            found += [
                f"{kind.name} {key[1]}: {picture.get(key, 'none')} for {truth.get(key, 'none')}"
                for key in sorted(picture.keys() | truth.keys())
                if picture.get(key) != truth.get(key)
            ]
            if not informer.fresh(10):
                found.append(f"{kind.plural} are not fresh: {informer.trouble}")
        for kind in (CONFIGMAPS, DEPLOYMENTS):
            names = {name for _, name in fake.truth(kind)}
            if names != {name for of, name in wanted if of is kind}:
                found.append(f"{kind.plural} are {sorted(names)}")
        replicas = sum(each["spec"]["replicas"] for each in fake.store.find("deployments"))
        if len(fake.truth(PODS)) != replicas:
            found.append(f"{len(fake.truth(PODS))} pods for {replicas} replicas")
        try:
            await cluster.version()
        except PlatformError as error:
            found.append(str(error))
        if not found or asyncio.get_running_loop().time() > end:
            return found
        await asyncio.sleep(0.1)
