"""Everything that goes wrong becomes a problem here, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import asyncpg
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_urldispatcher import SystemRoute

from services.api.refused import Refused
from shared import ids
from shared.blobs import TooLarge
from shared.errors import Invalid, Transient
from shared.problems import CONTENT_TYPE, Problem, problem

log = logging.getLogger(__name__)

RETRY: Final = {"Retry-After": "2"}
CODES: Final = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}


def told(error: Exception) -> tuple[Problem, Mapping[str, str]] | None:
    """The problem that an expected error is, None for a bug."""
    match error:
        case Refused():
            return error.problem, error.headers
        case TooLarge():
            return problem("too-large", 413, "The body is too large", error.message), {}
        case Invalid():
            title = "The request is not valid"
            return problem("invalid", 422, title, str(error), *error.errors), {}
        case Transient():
            return problem("unavailable", 503, "Try again in a moment"), RETRY
        case asyncpg.DataError() | asyncpg.ProgramLimitExceededError():
            return problem("invalid", 422, "The request is not valid"), {}
        case web.HTTPException():
            return _of(error)
    return None


def _of(error: web.HTTPException) -> tuple[Problem, Mapping[str, str]]:
    status = HTTPStatus(error.status)
    kept = {name: value for name, value in error.headers.items() if name == "Allow"}
    name = CODES.get(error.status, status.phrase.lower().replace(" ", "-"))
    return problem(name, error.status, status.phrase), kept


def answer(what: Problem, headers: Mapping[str, str]) -> web.Response:
    response = web.Response(
        status=what.status,
        body=msgspec.json.encode(what),
        content_type=CONTENT_TYPE,
        headers=headers,
    )
    if headers.get("Connection") == "close":
        response.force_close()
    return response


def operation(request: web.Request) -> str:
    """Its name; what people make up is not one."""
    route = request.match_info.route
    return "none" if isinstance(route, SystemRoute) else getattr(route.handler, "__name__", "none")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The last resort: whatever a handler raises is answered as a problem."""
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except Exception as error:
        expected = told(error)
        if request.writer.output_size > 0:
            log.exception("the answer of %s is cut short", operation(request))
            raise ConnectionError("the answer has begun") from error
        if isinstance(error, Transient):
            log.warning("%s %s: %s", request.method, operation(request), error)
        if expected is None:
            return _bug(request)
        return answer(*expected)


def _bug(request: web.Request) -> web.Response:
    number = ids.new("e")
    log.exception("error %s in %s", number, operation(request))
    return answer(problem("internal", 500, "This is our fault", f"error {number}"), {})
