"""A request's way: vet, resolve, wait for a place, ask the endpoint, pass its answer on.

Nothing here waits for PostgreSQL or the broker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
from aiohttp import web

from services.router import problems
from services.router.body import Limits, Unfit, body
from services.router.copies import Copies
from services.router.front import Front
from services.router.gate import Gate
from services.router.headers import to_client, to_endpoint
from services.router.meter import NOBODY, Meter
from services.router.proxy import Answer, Backend, Exchange, Outgoing
from services.router.reply import Reply
from services.router.resolve import Ambiguous, Match, Resolved, Unknown, job_of, resolve
from services.router.table import Route, Table
from services.router.tunnel import accept, tunnel
from services.router.upstream import bad
from services.router.vet import Refused, Vetted, content_length, values, vet
from shared.dial import Failed
from shared.ids import JobId
from shared.lifecycle import State
from shared.telemetry import CONTENT_TYPE, Telemetry

OWN: Final = frozenset({b"/livez", b"/readyz", b"/metrics"})
PING: Final = b"/ping"
PONG: Final = b'{"message":"pong"}'
PONG_HEADERS: Final = (
    (b"Content-Type", b"application/json"),
    (b"Cache-Control", b"no-store"),
    (b"Access-Control-Allow-Origin", b"*"),
)
MOST_WAITING: Final = 64  # requests that wait for news at a time; more are answered at once
PLAIN: Final = (b"Content-Type", b"text/plain; charset=utf-8")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    domain: bytes = b"localhost"
    scheme: str = "http"  # by which clients reach us
    limits: Limits = Limits()
    patience: float = 2.0  # see proxy.Backend
    keys: tuple[str, ...] = ()  # see shared.doorman
    news: float = 0.0  # seconds to wait for the news of a route that a client knows already


class Door:
    """`ready` says why the router can't do its work now, or None."""

    def __init__(
        self,
        table: Table,
        exchange: Exchange,
        telemetry: Telemetry,
        ready: Callable[[], str | None],
        options: Options,
        fronts: Sequence[Front] = (),
    ) -> None:
        self.closing = False  # answers tell clients to connect anew
        self._table = table
        self._exchange = exchange
        self._telemetry = telemetry
        self._meter = Meter(telemetry)
        self._ready = ready
        self._options = options
        self._fronts = fronts
        self._gates: dict[JobId, Gate] = {}
        self._copies: dict[JobId, Copies] = {}
        table.listen(self._hear)
        self.waiting = 0  # for the news of a route

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began = time.monotonic()
        reply = Reply(request, keep=request.keep_alive and not self.closing)
        self._meter.in_hand.inc()
        job = NOBODY
        try:
            vetted = vet(
                request.method.encode(),
                request.raw_path.encode("utf-8", "surrogateescape"),
                (request.version.major, request.version.minor),
                request.raw_headers,
            )
            if isinstance(vetted, Refused):
                reply.last()
                await reply.problem(problems.unfit(vetted.status, vetted.reason))
                return reply
            if vetted.last:
                reply.last()
            if front := self._front(vetted):
                await front.answer(request, vetted, reply)
            elif self._own(vetted):
                await self._page(vetted.target.partition(b"?")[0], reply)
            else:
                job = await self._route(request, vetted, reply)
        finally:
            self._meter.in_hand.dec()
            if reply.sent:
                self._meter.of(job).answered(reply.sent, time.monotonic() - began)
        return reply

    def gate(self, job: JobId) -> Gate | None:
        """None: nobody has asked for it yet."""
        return self._gates.get(job)

    def forget(self) -> None:
        """Drop the gates of jobs that are over."""
        for job in [job for job, gate in self._gates.items() if gate.idle]:
            if job not in self._table:
                del self._gates[job], self._copies[job]

    def _hear(self, jobs: Collection[JobId] | None) -> None:
        """Where copies are has changed, perhaps."""
        for job in self._gates if jobs is None else jobs:
            if gate := self._gates.get(job):
                copies = self._copies[job]
                copies.take(self._table.job(job))
                gate.resize(len(copies))

    def _front(self, request: Vetted) -> Front | None:
        path = request.target.partition(b"?")[0]
        for front in self._fronts:
            if front.has(path) and job_of(request.host, self._options.domain) is None:
                return front
        return None

    def _own(self, request: Vetted) -> bool:
        """Whether a page of the router's own is asked for. On a job's host every page is its."""
        path = request.target.partition(b"?")[0]
        return path in OWN and job_of(request.host, self._options.domain) is None

    async def _page(self, path: bytes, reply: Reply) -> None:
        if path == b"/metrics":
            found = [(b"Content-Type", CONTENT_TYPE.encode())]
            await reply.whole(200, found, self._telemetry.render())
            return
        reason = None
        if path == b"/readyz":
            reason = "stopping" if self.closing else self._ready()
        await reply.whole(503 if reason else 200, [PLAIN], f"{reason or 'ok'}\n".encode())

    async def _route(self, request: web.BaseRequest, vetted: Vetted, reply: Reply) -> str:
        """Answer, and say for which job."""
        limit = self._options.limits.size
        if limit and (vetted.length or 0) > limit:
            reason = f"The body is larger than the {limit} bytes allowed."
            await reply.problem(problems.unfit(413, reason))
            return NOBODY
        match await self._resolve(vetted):
            case Ambiguous(reason):
                reply.last()
                await reply.problem(problems.unfit(400, reason))
                return NOBODY
            case Unknown(cors=cors):
                await reply.problem(problems.unknown(cors=cors))
                return NOBODY
            case Match(route=route) as match:
                if not route.runs:
                    await reply.problem(problems.not_running(route))
                elif _pinged(vetted, match):
                    await reply.whole(200, PONG_HEADERS, PONG)
                else:
                    await self._admit(request, vetted, match, reply)
                return route.job

    async def _resolve(self, vetted: Vetted) -> Resolved:
        """A client may be quicker than the news: it has just made an alias, or has just been told
        that its job runs. So what may be about to change is looked at again for a moment."""
        until = time.monotonic() + self._options.news
        while True:
            found = resolve(self._table, vetted.host, vetted.target, self._options.domain)
            left = until - time.monotonic()
            if not _may_change(found) or left <= 0 or self.waiting >= MOST_WAITING:
                return found
            self.waiting += 1
            try:
                await self._table.change(left)
            finally:
                self.waiting -= 1

    async def _admit(
        self, request: web.BaseRequest, vetted: Vetted, match: Match, reply: Reply
    ) -> None:
        route = match.route
        gate = self._gates.get(route.job)
        if gate is None:
            gate = self._gates[route.job] = Gate(route.serving)
            self._copies[route.job] = Copies(route.job, self._options.keys)
            self._hear((route.job,))
        async with gate.slot() as admitted:
            if not admitted:
                self._meter.of(route.job).turned_away()
                await reply.problem(problems.overloaded(route, gate.places, gate.retry_after))
                return
            now = self._table.job(route.job)  # it may have stopped while we waited
            if now is None or not now.runs:
                await reply.problem(problems.not_running(now or route))
                return
            await self._ask(request, vetted, match, now, reply)

    async def _ask(
        self, request: web.BaseRequest, vetted: Vetted, match: Match, route: Route, reply: Reply
    ) -> None:
        outgoing = Outgoing(
            method=vetted.method,
            target=match.target,
            headers=to_endpoint(vetted, match, request.remote or "unknown", self._options.scheme),
            length=vetted.length,
            body=body(request, reply, self._options.limits, expected=vetted.expects)
            if vetted.length
            else None,
        )
        silence = route.serving.timeout_seconds
        backend = Backend(self._copies[route.job], silence, self._options.patience)
        try:
            async with self._exchange(outgoing, backend) as answer:
                if vetted.websocket and answer.head.status == 101:
                    await _switch(request, vetted, answer, reply, silence)
                else:
                    await _pass_on(vetted, answer, reply)
        except Failed as failed:
            reply.last()
            if reply.sent:  # all that is left to tell is that it was cut short
                raise ConnectionError("the endpoint's answer was cut short") from failed
            await reply.problem(problems.failed(route, failed))
        except Unfit as unfit:
            reply.last()
            if not reply.sent:
                await reply.problem(problems.unfit(unfit.status, unfit.reason))
        if vetted.length and not request.content.is_eof():
            reply.last()


def _may_change(found: Resolved) -> bool:
    match found:
        case Unknown():
            return True
        case Match(route=route):
            return route.state is State.STARTING
        case _:
            return False


def _pinged(request: Vetted, match: Match) -> bool:
    """The platform answers for endpoints made of routes, also while they shed load."""
    asks = match.route.routes and match.rest == PING
    return asks and request.method in (b"GET", b"HEAD") and request.length is None


async def _pass_on(request: Vetted, answer: Answer, reply: Reply) -> None:
    head = answer.head
    if head.status == 101:
        raise bad("It changed the protocol without being asked.")
    length = head.length
    if request.method == b"HEAD" or head.status == 304:  # what a GET would have
        length = content_length(values(head.headers, b"content-length"))
    await reply.stream(head.status, head.reason, to_client(head.headers), length, answer.body)


async def _switch(
    request: web.BaseRequest, vetted: Vetted, answer: Answer, reply: Reply, silence: float
) -> None:
    headers = answer.head.headers
    key = values(vetted.headers, b"sec-websocket-key")[0]
    if values(headers, b"sec-websocket-accept") != [accept(key)]:
        raise bad("It did not accept the WebSocket as it should.")
    if values(headers, b"sec-websocket-extensions"):
        raise bad("It wants a WebSocket extension that was not offered.")
    await reply.switch(to_client(headers))
    await tunnel(request, reply, answer.connection, silence)
