"""The gateway's addresses over HTTP, as Hydrosphere's clients know them.

| request | answer |
| --- | --- |
| `POST /gateway/application/<name>`, `POST /gateway/servable/<name>` | the outputs, for an object with the inputs (see mapping.py and answer.py) |
| `POST /gateway/applications/<name>/<signature>` | the same, as it was once spelled |
| `GET` of the first two | what it takes and gives |
| `GET /gateway/application`, `GET /gateway/servable` | all there are, whoever's; 404 where the operator shows no lists |
| `GET /gateway/buildinfo`, `GET /health` | who answers, and that it does |

Pages from anywhere may ask (CORS). What goes wrong is told as errors.py says.
"""  # noqa: E501  # a table

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from services.router.gateway.aside import Aside
from services.router.gateway.describe import described
from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.gateway import Gateway, late
from services.router.gateway.intake import Intake, Room
from services.router.gateway.targets import Kind as TargetKind
from services.router.gateway.targets import Target
from services.router.reply import Reply
from services.router.vet import Header, Vetted, items

log = logging.getLogger(__name__)

HEALTH: Final = b"/health"
PREFIX: Final = b"/gateway"
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,250}")

CORS: Final[tuple[Header, ...]] = (
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Access-Control-Expose-Headers", b"Retry-After"),
)
PREFLIGHT: Final[tuple[Header, ...]] = (
    *CORS,
    (b"Access-Control-Allow-Methods", b"GET, HEAD, POST, OPTIONS"),
    (b"Access-Control-Allow-Headers", b"*, Authorization"),
    (b"Access-Control-Max-Age", b"86400"),
)
JSON: Final[tuple[Header, ...]] = (
    (b"Content-Type", b"application/json"),
    (b"Cache-Control", b"no-store"),
    *CORS,
)
BUILD: Final = msgspec.json.encode({"name": "slipway-gateway", "protocol": "2.4"})
HEALTHY: Final = msgspec.json.encode({"status": "OK"})
NOWHERE: Final = "Nothing has this address."


class Asked(msgspec.Struct, frozen=True):
    """What a path asks for; no name: all there are."""

    kind: TargetKind
    name: str = ""


class Pages:
    def __init__(
        self,
        gateway: Gateway,
        room: Room | None = None,
        aside: Aside | None = None,
        *,
        lists: bool = True,
    ) -> None:
        self._gateway = gateway
        self.aside = aside or Aside()
        self.intake = Intake(room or Room())
        self._lists = lists

    def has(self, path: bytes) -> bool:
        return path in (PREFIX, HEALTH) or path.startswith(PREFIX + b"/")

    async def answer(self, request: web.BaseRequest, vetted: Vetted, reply: Reply) -> None:
        path = vetted.target.partition(b"?")[0]
        try:
            if vetted.method == b"OPTIONS":
                await reply.whole(204, PREFLIGHT, b"")
            else:
                await reply.whole(200, JSON, await self._answered(request, vetted, path, reply))
        except GatewayError as error:
            await self._tell(error, reply)
        except ConnectionError:
            raise
        except Exception:
            if reply.sent:
                raise
            log.exception("a prediction failed")
            uncaught = GatewayError(Kind.UNCAUGHT, "Something went wrong here.")
            await self._tell(uncaught, reply)
        finally:
            if vetted.length and not request.content.is_eof():
                reply.last()

    async def _answered(
        self, request: web.BaseRequest, vetted: Vetted, path: bytes, reply: Reply
    ) -> bytes:
        reads = vetted.method in (b"GET", b"HEAD")
        if path in (HEALTH, PREFIX + b"/buildinfo"):
            _allow(reads, "GET")
            return HEALTHY if path == HEALTH else BUILD
        asked = _asked(path)
        if asked is None:
            raise GatewayError(Kind.NOT_FOUND, NOWHERE)
        if not asked.name:
            _allow(reads, "GET")
            if not self._lists:
                raise GatewayError(Kind.NOT_FOUND, "No lists are shown here.")
            found = self._gateway.all(asked.kind)
            return msgspec.json.encode([described(one) for one in found if one.stages])
        _allow(reads or vetted.method == b"POST", "POST and GET")
        target = await self._gateway.found(asked.name, asked.kind)
        if target is None:
            text = f"There is no {asked.kind} `{asked.name}`."
            raise GatewayError(Kind.NOT_FOUND, text)
        if reads:
            return msgspec.json.encode(described(target))
        return await self._predicted(request, vetted, target, reply)

    async def _predicted(
        self, request: web.BaseRequest, vetted: Vetted, target: Target, reply: Reply
    ) -> bytes:
        if items(vetted.headers, b"content-encoding") - {b"identity"}:
            text = "The body is encoded, and only a plain one is read."
            raise GatewayError(Kind.BAD_REQUEST, text, status=415)
        seconds = self._gateway.options.deadline
        try:
            async with self.intake.whole(request, vetted, reply) as body:
                deadline = time.monotonic() + seconds
                tensors = await self.aside.to_tensors(body, target.inputs, deadline)
                outputs = await self._gateway.predict(target, tensors, deadline=deadline)
                return await self.aside.to_json(outputs, target.outputs, deadline)
        except TimeoutError as error:
            raise late(target, seconds) from error
        except ValueError as error:
            text = f"The answer of {target.name} can't be written as JSON: {error}"
            raise GatewayError(Kind.BROKEN, text) from error

    async def forget(self) -> None:
        """Let go of what is not needed any more."""
        await self.aside.forget()

    async def close(self) -> None:
        await self.aside.close()

    async def _tell(self, error: GatewayError, reply: Reply) -> None:
        headers: Sequence[Header] = JSON
        if error.retry_after is not None:
            headers = [*JSON, (b"Retry-After", b"%d" % error.retry_after)]
        if error.kind is Kind.METHOD:
            headers = [*headers, (b"Allow", b"GET, HEAD, POST, OPTIONS")]
        await reply.whole(error.status, headers, error.envelope())


def _allow(allowed: bool, methods: str) -> None:
    if not allowed:
        raise GatewayError(Kind.METHOD, f"Only {methods} and OPTIONS can be asked for here.")


def _asked(path: bytes) -> Asked | None:
    """
    >>> _asked(b"/gateway/servable"), _asked(b"/gateway/applications/claims/Predict")
    (Asked(kind='servable', name=''), Asked(kind='application', name='claims'))
    """
    _, _, *names = path.decode("ascii", "replace").rstrip("/").split("/")
    match names:
        case ["application" | "servable" as kind]:
            return Asked(kind)
        case ["application" | "servable" as kind, name] if NAME.fullmatch(name):
            return Asked(kind, name)
        case ["applications", name, signature] if NAME.fullmatch(name) and signature:
            return Asked("application", name)
        case _:
            return None
