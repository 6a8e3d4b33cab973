"""Who answers where, in memory: the only thing the request path asks.

Jobs are found by id, or by address through two more steps: alias or name -> version, then version
and endpoint -> job. So moving an alias is one assignment, and a request, which looks once, sees
either the old version or the new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import msgspec

from services.router.gateway.targets import Application, Targets
from shared.address import Address
from shared.contract import Contract
from shared.endpoint import Format, Serving
from shared.ids import JobId, VersionId
from shared.lifecycle import State


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint job as it stood when it was last looked at."""

    job: JobId
    owner: str
    project: str
    deployment: str | None  # None: it is addressed by its id alone
    version: VersionId
    version_name: str
    endpoint: str
    state: State
    attempt: int
    addresses: tuple[Address, ...]  # of its copies that take requests
    reason: str
    format: Format
    routes: bool  # it is made of routes, so the platform answers its /ping
    serving: Serving
    model: str | None = None  # whose version it is, if it speaks gRPC: then it is the gateway's
    contract: Contract | None = None  # of that version
    servable: str | None = None  # the name by which the gateway knows it
    scaled: bool = False  # by what is asked of it, which is to be told

    @property
    def runs(self) -> bool:
        return self.state is State.RUNNING and bool(self.addresses)


class Place(NamedTuple):
    """A name inside a deployment: of a version or of an alias."""

    owner: str
    project: str
    deployment: str
    name: str


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alias points. `deployment_id` is what events name."""

    owner: str
    project: str
    deployment: str
    deployment_id: str
    name: str
    version: VersionId

    @property
    def place(self) -> Place:
        return Place(self.owner, self.project, self.deployment, self.name)


class Table:
    def __init__(self) -> None:
        self._jobs: dict[JobId, Route] = {}
        self._endpoints: dict[tuple[VersionId, str], JobId] = {}
        self._versions: dict[Place, VersionId] = {}
        self._aliases: dict[Place, VersionId] = {}
        self._aliases_of: dict[str, set[Place]] = {}  # by the deployment's id
        self._closed: dict[JobId, int] = {}  # the last attempt known to take no more traffic
        self._changed = asyncio.Event()  # set, and another put in its place, by every change
        self._listeners: list[Callable[[Collection[JobId] | None], None]] = []
        self.targets = Targets()

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: JobId) -> bool:
        return job in self._jobs

    def job(self, job: str) -> Route | None:
        return self._jobs.get(JobId(job))

    def scaled(self) -> list[JobId]:
        """Those that run and are scaled by what is asked of them."""
        return [route.job for route in self._jobs.values() if route.scaled and route.runs]

    def endpoint(self, place: Place, endpoint: str) -> Route | None:
        """An alias goes before a version of the same name: its URL was promised to be stable."""
        version = self._aliases.get(place) or self._versions.get(place)
        if version is None:
            return None
        job = self._endpoints.get((version, endpoint))
        return None if job is None else self._jobs.get(job)

    async def change(self, within: float) -> None:
        """Returns after the next change, or `within` seconds at most."""
        try:
            async with asyncio.timeout(within):
                await self._changed.wait()
        except TimeoutError:
            pass

    def listen(self, hear: Callable[[Collection[JobId] | None], None]) -> None:
        """Have `hear` called after every change, with the jobs that it is about; None: any."""
        self._listeners.append(hear)

    def close(self, job: JobId, attempt: int) -> None:
        """Send nothing more to this attempt, whatever an older look at it still says."""
        self._closed[job] = max(attempt, self._closed.get(job, 0))
        if route := self._jobs.get(job):
            self._jobs[job] = self._guarded(route)
            self._tell({job})

    def replace(
        self,
        routes: Iterable[Route],
        aliases: Iterable[Alias],
        applications: Iterable[Application] = (),
    ) -> None:
        """Take a whole snapshot in place of everything known."""
        fresh = Table()
        fresh._closed = self._closed
        fresh.put(routes)
        fresh.point(aliases)
        fresh.settle(applications)
        self._jobs, self._endpoints = fresh._jobs, fresh._endpoints
        self._versions, self.targets = fresh._versions, fresh.targets
        self._aliases, self._aliases_of = fresh._aliases, fresh._aliases_of
        self._closed = {job: n for job, n in self._closed.items() if job in self._jobs}
        self._tell(None)

    def put(self, routes: Iterable[Route], gone: Collection[JobId] = ()) -> None:
        """Take a newer look at some jobs; `gone` are those that are over."""
        changed, routes = set(gone), list(routes)
        for job in gone:
            self._drop(job)
        for route in routes:
            changed.add(route.job)
            self._jobs[route.job] = self._guarded(route)
            self._endpoints[route.version, route.endpoint] = route.job
            if route.deployment is not None:
                place = Place(route.owner, route.project, route.deployment, route.version_name)
                self._versions[place] = route.version
        self.targets.put(routes)
        self._tell(changed)

    def point(self, aliases: Iterable[Alias], deployments: Collection[str] = ()) -> None:
        """Take a newer look at all the aliases of some deployments (named by id)."""
        found: dict[str, dict[Place, VersionId]] = {id: {} for id in deployments}
        for alias in aliases:
            found.setdefault(alias.deployment_id, {})[alias.place] = alias.version
        for id, places in found.items():
            for gone in self._aliases_of.get(id, set()) - places.keys():
                self._aliases.pop(gone, None)
            self._aliases.update(places)
            self._aliases_of[id] = set(places)
        self._tell(())

    def settle(self, found: Iterable[Application], looked_at: Collection[str] = ()) -> None:
        """Take a newer look at some applications (named by id): from now on they answer so."""
        self.targets.settle(found, looked_at)
        self._tell(())

    def _tell(self, jobs: Collection[JobId] | None) -> None:
        for hear in self._listeners:
            hear(jobs)
        self._changed.set()
        self._changed = asyncio.Event()

    def _guarded(self, route: Route) -> Route:
        if route.state is State.RUNNING and route.attempt <= self._closed.get(route.job, 0):
            return msgspec.structs.replace(route, state=State.STOPPING)
        return route

    def _drop(self, job: JobId) -> None:
        route = self._jobs.pop(job, None)
        self.targets.drop(job)
        if route is not None and self._endpoints.get((route.version, route.endpoint)) == job:
            del self._endpoints[route.version, route.endpoint]
