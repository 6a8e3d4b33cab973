"""The ways in which the API says no, beside `shared.errors.Invalid` for a field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import PlatformError
from shared.problems import Problem, Wrong, problem


class Refused(PlatformError):
    """A request that gets `problem` instead of what it asked for."""

    def __init__(self, told: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(told.title)
        self.problem = told
        self.headers = dict(headers or {})


def unauthorised(detail: str) -> Refused:
    told = problem("unauthorized", 401, "A valid token is needed", detail)
    return Refused(told, {"WWW-Authenticate": "Bearer"})


def forbidden(detail: str) -> Refused:
    return Refused(problem("forbidden", 403, "This token may not do that", detail))


def missing(what: str, called: str = "") -> Refused:
    """The same for what does not exist and for what others own. `called`: how it was named."""
    return Refused(problem("not-found", 404, f"No such {what}", called))


def conflict(name: str, title: str, detail: str = "", *wrongs: Wrong) -> Refused:
    return Refused(problem(name, 409, title, detail, *wrongs))


def malformed(detail: str) -> Refused:
    return Refused(problem("malformed", 400, "The body is not valid JSON", detail))


def too_large(limit: int) -> Refused:
    told = problem("too-large", 413, "The body is too large", f"at most {limit} bytes are allowed")
    return Refused(told, {"Connection": "close"})


def no_room(limit: int, room: int) -> Refused:
    detail = (
        f"a project's uploads may take {limit} bytes, and {room} of them are left; "
        "uploads that no version uses are forgotten after some days"
    )
    told = problem("no-room", 413, "The project has no room for it", detail)
    return Refused(told, {"Connection": "close"})


def too_slow() -> Refused:
    told = problem("too-slow", 408, "The body came too slowly")
    return Refused(told, {"Connection": "close"})


def unsupported(detail: str) -> Refused:
    told = problem("unsupported-media-type", 415, "The body is of the wrong kind", detail)
    return Refused(told, {"Accept": "application/json", "Connection": "close"})


def stale(detail: str) -> Refused:
    return Refused(problem("precondition-failed", 412, "It has changed meanwhile", detail))


def busy(detail: str, seconds: int = 1) -> Refused:
    told = problem("unavailable", 503, "Try again in a moment", detail)
    return Refused(told, {"Retry-After": str(seconds)})


def malformed_request(detail: str) -> Refused:
    return Refused(problem("bad-request", 400, "The request can't be understood", detail))


def too_many_builds(most: int) -> Refused:
    detail = (
        f"at most {most} of an owner's versions may wait at a time; "
        "come again when some are built, or cancel some"
    )
    told = problem("queue-full", 429, "Too many versions wait to be built", detail)
    return Refused(told, {"Retry-After": "10"})
