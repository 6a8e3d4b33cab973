"""The fake over HTTP."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from aiohttp import web

from services.scheduler.drivers.kubernetes.kinds import ALL, Kind
from tests.scheduler.kubernetes.fake.answers import Refusal, gone
from tests.scheduler.kubernetes.fake.api import Api, kind_at
from tests.scheduler.kubernetes.fake.kubelet import Kubelet
from tests.scheduler.kubernetes.fake.select import matches
from tests.scheduler.kubernetes.fake.store import Entry, Store
from tests.scheduler.kubernetes.fake.trouble import Fault, Trouble

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middle: TypeAlias = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]

VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


class Server:
    def __init__(self, store: Store, kubelet: Kubelet, trouble: Trouble) -> None:
        self._store = store
        self._api = Api(store)
        self._kubelet = kubelet
        self._trouble = trouble
        self.token = "first"
        self.offered = {kind.api_version for kind in ALL}
        self.requests: Counter[tuple[str, str]] = Counter()
        self.lists: list[tuple[float, str]] = []  # when a list began, and of what
        self.stopping = asyncio.Event()
        self.middle: list[Middle] = []  # what a test does with each request

    def app(self) -> web.Application:
        app = web.Application(client_max_size=16 << 20, middlewares=[self._middles])
        app.router.add_get("/version", self._version)
        for top in ("/api/{version}", "/apis/{group}/{version}"):
            app.router.add_get(top, self._discover)
            for inside in ("/namespaces/{namespace}", ""):
                for last in ("/{plural}", "/{plural}/{name}", "/{plural}/{name}/{sub}"):
                    app.router.add_route("*", top + inside + last, self._any)
        return app

    @web.middleware
    async def _middles(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        for middle in self.middle:
            handler = _around(middle, handler)
        return await handler(request)

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"major": "1", "minor": "30", "gitVersion": "v1.30.0-fake"})

    async def _discover(self, request: web.Request) -> web.Response:
        version = request.path.removeprefix("/apis/").removeprefix("/api/")
        found = [{"name": k.plural} for k in ALL if k.api_version == version]
        if not found or version not in self.offered:
            return web.Response(status=404, text="404 page not found\n")
        return web.json_response({"kind": "APIResourceList", "resources": found})

    async def _any(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ConnectionResetError:
            return web.Response()  # to nobody
        except Refusal as refusal:
            headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
            return web.json_response(refusal.body(), status=refusal.code, headers=headers)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized", "Unauthorized")
        at = request.match_info
        group = at.get("group")
        version = f"{group}/{at['version']}" if group else at["version"]
        if version not in self.offered:
            return web.Response(status=404, text="404 page not found\n")
        kind = kind_at(version, at["plural"])
        name, query = at.get("name", ""), dict(request.query)
        verb = VERBS.get(request.method) or (
            "get" if name else "watch" if "watch" in query else "list"
        )
        self.requests[verb, kind.plural] += 1
        fault = self._trouble.meet(verb, kind.plural, resumed="continue" in query)
        _refuse(request, fault)
        namespace = at.get("namespace", "")
        if verb == "watch":
            return await self._watch(request, kind, namespace, query, fault)
        if at.get("sub") == "log":
            return await self._log(request, namespace, name, query)
        body = json.loads(await request.read() or b"{}")
        done = self._do(verb, kind, namespace, name, query, body, request.content_type)
        if fault is Fault.DONE_ERROR:
            raise Refusal(500, "InternalError", "etcdserver: request timed out")
        if fault is Fault.DONE_RESET:
            _reset(request)
        if fault is Fault.DONE_SILENT:
            await self.stopping.wait()
        return web.json_response(done, status=201 if verb == "create" else 200)

    def _do(
        self,
        verb: str,
        kind: Kind,
        namespace: str,
        name: str,
        query: dict[str, str],
        body: dict[str, Any],
        content: str,
    ) -> dict[str, Any]:
        dry = query.get("dryRun") == "All"
        if verb == "list":
            if "continue" not in query:
                self.lists.append((asyncio.get_running_loop().time(), kind.plural))
            return self._api.list(kind, namespace, query)
        if verb == "get":
            return self._store.get(kind.plural, namespace, name)
        if verb == "create":
            return self._api.create(kind, namespace, body, dry)
        if verb == "delete":
            return self._api.delete(kind, namespace, name, body)
        if content == "application/apply-patch+yaml":
            return self._api.apply(kind, namespace, name, body, query["fieldManager"], dry)
        return self._api.merge(kind, namespace, name, body)

    async def _watch(
        self,
        request: web.Request,
        kind: Kind,
        namespace: str,
        query: dict[str, str],
        fault: Fault | None,
    ) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        if fault is Fault.EMPTY:
            await answer.prepare(request)
            return answer
        version = int(query.get("resourceVersion", "0"))
        if version < self._store.floor:
            raise gone(f"too old resource version: {version} ({self._store.floor})")
        await answer.prepare(request)
        faults: asyncio.Queue[Fault] = asyncio.Queue()
        self._trouble.watching(faults, kind.plural)
        try:
            await self._stream(request, answer, kind, namespace, query, version, faults)
        finally:
            self._trouble.unwatch(faults)
        return answer

    async def _stream(
        self,
        request: web.Request,
        answer: web.StreamResponse,
        kind: Kind,
        namespace: str,
        query: dict[str, str],
        version: int,
        faults: asyncio.Queue[Fault],
    ) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + float(query.get("timeoutSeconds", "1800"))
        last: list[bytes] = []
        reorder = False
        while not self.stopping.is_set():
            changed = self._store.changed
            if version < self._store.floor:
                # what it has not read yet may be forgotten
                await answer.write(_line("ERROR", gone().body()))
                return
            fresh = []
            for entry in self._store.since(version):
                version = entry.version
                if entry.plural == kind.plural and (line := _event(entry, namespace, query)):
                    fresh.append(line)
            if reorder and len(fresh) > 1:
                fresh.reverse()
                reorder = False
            if fresh:
                await answer.write(b"".join(fresh))
                last = fresh[-3:]
            version = max(version, self._store.version)
            try:
                async with asyncio.timeout_at(min(end, loop.time() + 1.0)):
                    fault = await _first(faults, changed, self.stopping)
            except TimeoutError:
                await answer.write(_bookmark(kind, version))
                if loop.time() >= end:
                    return
                continue
            if fault is Fault.CLOSE:
                return
            if fault is Fault.CUT:
                _reset(request)
            if fault is Fault.EXPIRE:
                await answer.write(_line("ERROR", gone("too old resource version: 1 (2)").body()))
                return
            if fault is Fault.SILENT:
                await self.stopping.wait()
            if fault is Fault.REPEAT:
                await answer.write(b"".join(last))
            if fault is Fault.TRAVEL:
                old = [entry for entry in self._store.history if entry.plural == kind.plural]
                if old and (line := _event(random.Random(version).choice(old), namespace, query)):
                    await answer.write(line)
            reorder = reorder or fault is Fault.REORDER

    async def _log(
        self, request: web.Request, namespace: str, name: str, query: dict[str, str]
    ) -> web.StreamResponse:
        pod = self._store.get("pods", namespace, name)
        key = name, query.get("container") or pod["spec"]["containers"][0]["name"]
        if key not in self._kubelet.logs:
            why = f'container "{key[1]}" in pod "{name}" is waiting to start: ContainerCreating'
            raise Refusal(400, "BadRequest", why)
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await answer.prepare(request)
        sent = 0
        since = query.get("sinceTime", "")[:19]
        while not self.stopping.is_set():
            lines = self._kubelet.logs[key]
            for line in lines[sent:]:
                if line[:19].decode() >= since:
                    stamped = query.get("timestamps") == "true"
                    await answer.write((line if stamped else line.partition(b" ")[2]) + b"\n")
            sent = len(lines)
            if "follow" not in query:
                break
            if ("pods", namespace, name) not in self._store.objects:
                await answer.write(
                    b'rpc error: code = NotFound desc = find container "c": not found'
                )
                break
            await asyncio.sleep(0.02)
        return answer


def _around(middle: Middle, handler: Handler) -> Handler:
    return lambda request: middle(request, handler)


async def _first(
    faults: asyncio.Queue[Fault], changed: asyncio.Event, stopping: asyncio.Event
) -> Fault | None:
    """The next fault; None when something changed before, or all ends."""
    waiting = [
        asyncio.ensure_future(faults.get()),
        asyncio.ensure_future(changed.wait()),
        asyncio.ensure_future(stopping.wait()),
    ]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        found = waiting[0]
        return found.result() if found.done() else None  # type: ignore[return-value]
    finally:
        for each in waiting:
            each.cancel()


def _refuse(request: web.Request, fault: Fault | None) -> None:
    if fault is Fault.BUSY:
        raise Refusal(429, "TooManyRequests", "Too many requests, please try again later.", 1)
    if fault is Fault.CONFLICT:
        raise Refusal(
            409, "Conflict", "Operation cannot be fulfilled: the object has been modified"
        )
    if fault is Fault.ERROR:
        raise Refusal(500, "InternalError", "etcdserver: leader changed")
    if fault is Fault.UNAVAILABLE:
        raise Refusal(503, "ServiceUnavailable", "the server is currently unable to handle it")
    if fault is Fault.GONE:
        raise gone()
    if fault is Fault.RESET:
        _reset(request)


def _reset(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()
    raise ConnectionResetError


def _event(entry: Entry, namespace: str, query: dict[str, str]) -> bytes:
    """As a watch with this selector sees it; nothing if it does not."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")

    def seen(object: dict[str, Any] | None) -> bool:
        if object is None or namespace not in ("", object["metadata"].get("namespace", "")):
            return False
        return matches(object, labels, fields)

    before, after = seen(entry.before), seen(entry.after)
    if not before and not after:
        return b""
    type = "MODIFIED" if before and after else "ADDED" if after else "DELETED"
    return _line(type, entry.seen)


def _bookmark(kind: Kind, version: int) -> bytes:
    meta = {"resourceVersion": str(version), "creationTimestamp": None}
    body: dict[str, Any] = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": meta}
    if kind.plural == "pods":
        body |= {"spec": {"containers": None}, "status": {}}
    return _line("BOOKMARK", body)


def _line(type: str, object: dict[str, Any]) -> bytes:
    return json.dumps({"type": type, "object": object}).encode() + b"\n"
