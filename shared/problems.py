"""Errors as HTTP tells them: problem details (RFC 9457), the same on every door."""

from __future__ import annotations

from typing import Final

import msgspec

CONTENT_TYPE: Final = "application/problem+json"


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with what was sent."""

    field: str  # dotted path into what was sent
    message: str  # what was wrong and what is allowed


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`type` is a stable name for programs, `detail` is for people, `errors` names fields."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[Wrong, ...] = ()


def problem(name: str, status: int, title: str, detail: str = "", *errors: Wrong) -> Problem:
    """`problem("not-found", 404, "No such job")` has the type `urn:slipway:problem:not-found`."""
    return Problem(
        type=f"urn:slipway:problem:{name}",
        title=title,
        status=status,
        detail=detail,
        errors=errors,
    )
