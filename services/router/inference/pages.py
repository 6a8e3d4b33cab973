"""The Open Inference Protocol over HTTP: its pages, at /v2.

Whatever goes wrong is `{"error": text}`, with the status that the gateway has for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from services.router.gateway.aside import Aside
from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.gateway import Gateway, late
from services.router.gateway.intake import Intake
from services.router.gateway.targets import Target
from services.router.gateway.tensors import Tensors, weight
from services.router.inference import document, large, models
from services.router.inference.answer import JSON as PLAIN
from services.router.inference.answer import Body, Style, write
from services.router.inference.document import Wishes
from services.router.inference.errors import bad, envelope, not_yet
from services.router.inference.given import messages
from services.router.inference.paths import ROOT, Page, page
from services.router.inference.told import told
from services.router.inference.wanted import answered, named
from services.router.reply import Reply
from services.router.vet import Header, Vetted, content_length, values
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictResponse

log = logging.getLogger(__name__)

HEADER: Final = b"Inference-Header-Content-Length"
CORS: Final[tuple[Header, ...]] = (
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Access-Control-Expose-Headers", HEADER + b", Retry-After"),
)
PREFLIGHT: Final[tuple[Header, ...]] = (
    *CORS,
    (b"Access-Control-Allow-Methods", b"GET, HEAD, POST, OPTIONS"),
    (b"Access-Control-Allow-Headers", b"*, Authorization"),
    (b"Access-Control-Max-Age", b"86400"),
)
JSON: Final = (b"Content-Type", PLAIN)
LISTS: Final = 1 << 17  # in a request; more take long to read
FRESH: Final = (b"Cache-Control", b"no-store")


class Pages:
    """`ready` says why the router can't do its work now, or None."""

    def __init__(
        self, gateway: Gateway, ready: Callable[[], str | None], intake: Intake, aside: Aside
    ) -> None:
        self._gateway = gateway
        self._ready = ready
        self._intake = intake
        self._aside = aside

    def has(self, path: bytes) -> bool:
        """Whether a path (without its query) is one of this protocol."""
        return path == ROOT or path.startswith(ROOT + b"/")

    async def answer(self, request: web.BaseRequest, vetted: Vetted, reply: Reply) -> None:
        try:
            await self._answer(request, vetted, reply)
        except GatewayError as error:
            await _fail(reply, error)
        except ConnectionError:
            raise
        except Exception:
            if reply.sent:
                raise
            log.exception("an inference failed")
            await _fail(reply, GatewayError(Kind.UNCAUGHT, "Something went wrong here"))
        finally:
            if vetted.length and not request.content.is_eof():
                reply.last()

    async def _answer(self, request: web.BaseRequest, vetted: Vetted, reply: Reply) -> None:
        found = page(vetted.target.partition(b"?")[0])
        if vetted.method == b"OPTIONS":
            await reply.whole(204, PREFLIGHT, b"")
            return
        if found is None:
            raise GatewayError(Kind.NOT_FOUND, "Nothing of this protocol has this address")
        if vetted.method not in found.methods:
            allowed = ", ".join(method.decode() for method in found.methods)
            raise GatewayError(Kind.METHOD, f"Only {allowed} and OPTIONS can be asked for here")
        match found.what:
            case "server":
                await _tell(reply, models.Server())
            case "live":
                await _tell(reply, {"live": True})
            case "ready":
                ready = self._ready() is None
                await _tell(reply, {"live": True, "ready": ready}, 200 if ready else 503)
            case "infer":
                await self._infer(found, request, vetted, reply)
            case _:
                await self._model(found, reply)

    async def _model(self, asked: Page, reply: Reply) -> None:
        target = await self._chosen(asked)
        if asked.what == "model":
            await _tell(reply, models.model(target))
            return
        ready = models.ready(target, self._gateway.runs)
        await _tell(reply, {"name": target.name, "ready": ready}, 200 if ready else 503)

    async def _infer(
        self, asked: Page, request: web.BaseRequest, vetted: Vetted, reply: Reply
    ) -> None:
        target = await self._chosen(asked)
        if not target.stages:
            raise not_yet(target)
        header = _header(vetted.headers)
        seconds = self._gateway.options.deadline
        try:
            async with self._intake.whole(request, vetted, reply) as body:
                deadline = time.monotonic() + seconds
                given, inputs = await self._read(target, body, header, deadline)
                names = named(target, given.wanted)
                outputs = await self._gateway.predict(target, inputs, deadline=deadline)
                names = answered(names, given.wanted, outputs)
                written = await self._write(target, given, names, outputs, deadline)
        except TimeoutError as error:
            raise late(target, seconds) from error
        headers = [(b"Content-Type", written.kind), *CORS]
        if written.header is not None:
            headers.append((HEADER, b"%d" % written.header))
        await reply.whole(200, headers, written.content)

    async def _read(
        self, target: Target, body: bytes, header: int | None, deadline: float
    ) -> tuple[Wishes, Tensors]:
        end = len(body) if header is None else header
        if end > self._aside.large or body.count(b"[", 0, end) > LISTS:
            order = large.framed(header, body)
            return large.taken(
                await self._aside.ordered(large.READ, target.inputs, order, deadline)
            )
        asked = document.read(body, header)
        return asked, messages(asked.given, target.inputs)

    async def _write(
        self,
        target: Target,
        asked: Wishes,
        names: tuple[str, ...],
        outputs: Tensors,
        deadline: float,
    ) -> Body:
        style = Style(
            model=target.name,
            version=target.version,
            id=asked.id,
            names=names,
            binary=frozenset(filter(asked.as_bytes, names)),
        )
        kept = {name: outputs[name] for name in names}
        if weight(kept) > self._aside.many:
            order = large.framed(style, PredictResponse(outputs=kept).SerializeToString())
            return large.written(
                await self._aside.ordered(large.WRITE, target.outputs, order, deadline)
            )
        return write(style, [told(name, kept[name]) for name in names])

    async def _chosen(self, asked: Page) -> Target:
        return models.chosen(await self._gateway.found(asked.model), asked.model, asked.version)


def _header(headers: Sequence[Header]) -> int | None:
    """How much of the body is JSON; None: it is not said."""
    if values(headers, b"content-encoding") not in ([], [b"identity"]):
        text = "Content-Encoding: only `identity` is understood"
        raise GatewayError(Kind.BAD_REQUEST, text, status=415)
    found = values(headers, HEADER.lower())
    if not found:
        return None
    length = content_length(found)
    if length is None:
        raise bad(f"{HEADER.decode()}: must be one plain number")
    return length


async def _tell(reply: Reply, what: Any, status: int = 200) -> None:
    await reply.whole(status, (JSON, FRESH, *CORS), msgspec.json.encode(what))


async def _fail(reply: Reply, error: GatewayError) -> None:
    headers = [JSON, FRESH, *CORS]
    if error.retry_after is not None:
        headers.append((b"Retry-After", b"%d" % error.retry_after))
    await reply.whole(error.status, headers, envelope(error))
