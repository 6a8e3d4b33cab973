"""The door to a cluster: the few calls that we make, each bounded in time, size and number.

Answers are decoded into what the caller names, straight from the bytes: a struct that begins with
`metadata.Seen`, or `Object`. Every call raises what `errors` lists, and nothing else of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Literal, TypeVar

import msgspec

from services.scheduler.drivers.kubernetes import answers, kinds
from services.scheduler.drivers.kubernetes.answers import Event, Object, Page, Version
from services.scheduler.drivers.kubernetes.errors import Away, Conflict, Missing
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.lines import lines
from services.scheduler.drivers.kubernetes.login import Login
from services.scheduler.drivers.kubernetes.wire import Call, Limits, Wire
from services.scheduler.drivers.kubernetes.written import written

MANAGER: Final = "slipway"
KNOWN: Final = 600.0  # seconds that we remember what a server offers

T = TypeVar("T")


class Cluster:
    """One cluster, and the namespace in it that is ours. Build it with `open_cluster`."""

    def __init__(self, wire: Wire, namespace: str) -> None:
        self._wire = wire
        self.namespace = namespace
        self._offers: dict[str, tuple[float, frozenset[str]]] = {}

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """Requests sent, each attempt of a call, by verb and plural."""
        return self._wire.calls

    @property
    def failed(self) -> Counter[str]:
        """Attempts that failed in a way that may pass, by the name of the error."""
        return self._wire.failed

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        path = kinds.path(kind, self._place(namespace), name)
        return await self._object(Call(verb="get", kind=kind.plural, method="GET", path=path))

    async def list(
        self,
        kind: Kind,
        type: type[T],
        *,
        selector: str = "",
        fields: str = "",
        limit: int = 500,
        token: str = "",
        everywhere: bool = False,
    ) -> Page[T]:
        """One page. Raises Expired when `token` is too old: begin anew."""
        query = _query(
            labelSelector=selector, fieldSelector=fields, limit=str(limit), **{"continue": token}
        )
        path = kinds.path(kind, self._place(None, everywhere))
        found = await self._wire.call(
            Call(verb="list", kind=kind.plural, method="GET", path=path, query=query)
        )
        return answers.page(found, type)

    async def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Make it so (server-side apply, in our name, by force), and how it is now."""
        kind, path = self._named(manifest)
        return await self._object(
            Call(
                verb="patch",
                kind=kind.plural,
                method="PATCH",
                path=path,
                query=_query(fieldManager=MANAGER, force="true", dryRun="All" if dry_run else ""),
                body=written(manifest),
                content="application/apply-patch+yaml",
            )
        )

    async def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Raises Taken when its name is; Away may also mean that it was made."""
        kind, path = self._named(manifest)
        return await self._object(
            Call(
                verb="create",
                kind=kind.plural,
                method="POST",
                path=path.rpartition("/")[0],
                query=_query(fieldManager=MANAGER, dryRun="All" if dry_run else ""),
                body=msgspec.json.encode(manifest),
                again=False,
            )
        )

    async def patch_merge(
        self, kind: Kind, name: str, patch: Mapping[str, Any], namespace: str | None = None
    ) -> Object:
        """Change some fields (RFC 7386), and how it is now."""
        return await self._object(
            Call(
                verb="patch",
                kind=kind.plural,
                method="PATCH",
                path=kinds.path(kind, self._place(namespace), name),
                query=_query(fieldManager=MANAGER),
                body=msgspec.json.encode(patch),
                content="application/merge-patch+json",
            )
        )

    async def delete(
        self,
        kind: Kind,
        name: str,
        *,
        uid: str = "",
        grace: int | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        namespace: str | None = None,
    ) -> None:
        """Say that it shall go; pods take their `grace` seconds for it.

        What is gone already is fine, and so is another one of that name when `uid` is said.
        """
        options: Object = {"propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        call = Call(
            verb="delete",
            kind=kind.plural,
            method="DELETE",
            path=kinds.path(kind, self._place(namespace), name),
            body=msgspec.json.encode(options),
            guarded=bool(uid),
        )
        try:
            await self._wire.call(call)
        except Missing:
            return
        except Conflict:
            if not uid or await self._uid(kind, name, namespace) == uid:
                raise

    async def watch(
        self,
        kind: Kind,
        type: type[T],
        *,
        version: str,
        selector: str = "",
        fields: str = "",
        seconds: int = 20,
        everywhere: bool = False,
    ) -> AsyncGenerator[Event[T]]:
        """What happens after `version`, for `seconds`; then the server ends it, and this returns.

        Raises Expired when `version` is too old, and Away also when nothing is heard for longer
        than `seconds`: a watch is never silent for ever.
        """
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=version,
            timeoutSeconds=str(seconds),
            labelSelector=selector,
            fieldSelector=fields,
        )
        path = kinds.path(kind, self._place(None, everywhere))
        call = Call(verb="watch", kind=kind.plural, method="GET", path=path, query=query)
        limits = self._wire.limits
        async with (
            self._wire.stream(call, limits.silence) as pieces,
            aclosing(lines(pieces, limits.watch_line)) as found,
        ):
            async for line in found:
                if line.strip():
                    yield answers.event(line, type)

    async def log(
        self,
        pod: str,
        container: str,
        *,
        since: str = "",
        previous: bool = False,
        follow: bool = True,
    ) -> AsyncGenerator[bytes]:
        """The lines of a container from the second of `since` on (RFC 3339), each after its stamp.

        Long ones are cut. Raises Away when none came for long: ask again from the last stamp.
        Raises Rejected while the container has not begun.
        """
        query = _query(
            container=container,
            timestamps="true",
            sinceTime=since,
            previous="true" if previous else "",
            follow="true" if follow else "",
        )
        path = kinds.path(kinds.PODS, self.namespace, pod) + "/log"
        call = Call(verb="get", kind="pods/log", method="GET", path=path, query=query)
        limits = self._wire.limits
        async with (
            self._wire.stream(call, limits.log_silence) as pieces,
            aclosing(lines(pieces, limits.log_line, cut=True)) as found,
        ):
            async for line in found:
                yield line

    async def offers(self, api_version: str) -> frozenset[str]:
        """The plurals that a group and version (`autoscaling/v2`) has, none if it is not there."""
        now = asyncio.get_running_loop().time()
        until, known = self._offers.get(api_version, (0.0, frozenset()))
        if until <= now:
            known = await self._discover(api_version)
            self._offers[api_version] = now + KNOWN, known
        return known

    async def version(self) -> Version:
        call = Call(verb="get", kind="version", method="GET", path="/version")
        return answers.decoded(await self._wire.call(call), Version)

    async def _discover(self, api_version: str) -> frozenset[str]:
        path = kinds.root(api_version)
        call = Call(verb="get", kind="apis", method="GET", path=path)
        try:
            return answers.resources(await self._wire.call(call))
        except Missing:
            return frozenset()
        except Away as error:
            if error.status != 404:  # which has no words of the API's own here
                raise
            return frozenset()

    async def _uid(self, kind: Kind, name: str, namespace: str | None) -> str:
        try:
            return str((await self.get(kind, name, namespace))["metadata"]["uid"])
        except Missing:
            return ""

    async def _object(self, call: Call) -> Object:
        return answers.decoded(await self._wire.call(call), Object)

    def _named(self, manifest: Mapping[str, Any]) -> tuple[Kind, str]:
        kind, meta = kinds.of(manifest), manifest["metadata"]
        return kind, kinds.path(kind, self._place(meta.get("namespace")), meta["name"])

    def _place(self, namespace: str | None, everywhere: bool = False) -> str:
        return "" if everywhere else namespace or self.namespace


def _query(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


@asynccontextmanager
async def open_cluster(
    kubeconfig: str, context: str, namespace: str, limits: Limits | None = None
) -> AsyncIterator[Cluster]:
    """A cluster by a kubeconfig file and a context ("" is the current one) of it; with no file, the
    one that we run in. Says nothing to it yet. Raises Permanent if it can't be read."""
    login = Login(kubeconfig, context)
    await login.begin()
    wire = Wire(login, limits or Limits())
    try:
        yield Cluster(wire, namespace)
    finally:
        await wire.close()
