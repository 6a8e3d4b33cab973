"""What the router itself answers when an endpoint can't: problems that tell the cases apart."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from services.router.table import Route
from shared.dial import Failed, Trouble
from shared.lifecycle import State
from shared.problems import Problem, problem


class Told(msgspec.Struct, frozen=True):
    """A problem and the headers that go with it."""

    problem: Problem
    retry_after: int | None = None
    cors: bool = False  # pages from elsewhere may read it


AWHILE = 1  # second after which a copy may be reached again
SOON = 5  # seconds after which looking again is worth while
BRIEF = {State.RUNNING: 2, State.STARTING: 2, State.BUILDING: 10, State.QUEUED: 10}


def unfit(status: int, reason: str) -> Told:
    """The request itself can't be taken."""
    name = HTTPStatus(status).phrase.lower().replace(" ", "-")
    return Told(problem(name, status, HTTPStatus(status).phrase, reason))


def unknown(*, cors: bool) -> Told:
    """The same whether it never was, is over, or is somebody else's."""
    title = "No such endpoint"
    return Told(problem("no-such-endpoint", 404, title, "Nothing has this address."), cors=cors)


def not_running(route: Route) -> Told:
    detail = f"{route.state}: {route.reason}" if route.reason else str(route.state)
    if route.state is State.RUNNING:
        detail = "None of its copies takes requests now."
    told = problem("not-running", 503, "The endpoint is not running", detail)
    return Told(told, retry_after=BRIEF.get(route.state, SOON), cors=_cors(route))


def overloaded(route: Route, places: int, retry_after: int) -> Told:
    detail = f"It works on {places} requests at once and no more can wait."
    told = problem("overloaded", 503, "The endpoint is overloaded", detail)
    return Told(told, retry_after=retry_after, cors=_cors(route))


def failed(route: Route, failure: Failed) -> Told:
    if failure.trouble is Trouble.AWAY:
        told = problem("not-reached", 503, "The endpoint can't be reached", failure.detail)
        return Told(told, retry_after=AWHILE, cors=_cors(route))
    if failure.trouble is Trouble.SILENT:
        told = problem("endpoint-timeout", 504, "The endpoint took too long", failure.detail)
    else:
        told = problem("endpoint-failed", 502, "The endpoint failed", failure.detail)
    return Told(told, cors=_cors(route))


def trouble() -> Told:
    """A mistake of ours."""
    return Told(problem("internal", 500, "Something went wrong here"))


def _cors(route: Route) -> bool:
    return route.format == "proximl"
