"""What went wrong, as Hydrosphere's manager tells it: `{"error", "message"}`."""

from __future__ import annotations

import logging
from typing import Final

from aiohttp import web

from services.api.guard import told
from shared import ids
from shared.problems import Problem

log = logging.getLogger(__name__)

KEPT: Final = frozenset({401, 403, 404, 408, 413, 415, 429, 503})
"""Statuses that mean something to a client; any other fault of a caller's is a 400."""

NAMES: Final = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 503: "Unavailable"}


def answer(error: Exception) -> web.Response:
    expected = told(error)
    if expected is None:
        number = ids.new("e")
        log.exception("%s: an error of ours", number, exc_info=error)
        said = {"error": "InternalServerError", "message": f"see the log for {number}"}
        return web.json_response(said, status=500)
    problem, headers = expected
    status = problem.status if problem.status in KEPT else 400
    said = {"error": NAMES.get(status, "BadRequest"), "message": _message(problem)}
    return web.json_response(said, status=status, headers=dict(headers))


def _message(problem: Problem) -> str:
    wrongs = [f"{wrong.field}: {wrong.message}".removeprefix(": ") for wrong in problem.errors]
    if wrongs:
        return "; ".join(wrongs)
    return f"{problem.title}: {problem.detail}" if problem.detail else problem.title
