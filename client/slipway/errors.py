"""What can go wrong, as one family of exceptions. Each carries the problem that tells it.

A problem is the platform's own answer (RFC 9457), or one made here in the same shape, so that
a program reads all of them alike. `hint` says what to do next, when there is something to do.
"""

from __future__ import annotations

import msgspec


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with what was sent."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`type` is a stable name for programs; `status` is 0 when no answer came."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    errors: tuple[Wrong, ...] = ()

    @property
    def name(self) -> str:
        """The last part of `type`: `not-found`."""
        return self.type.rpartition(":")[2]


class SlipwayError(Exception):
    """The platform refused, or could not be asked. The root of all errors of this package."""

    def __init__(self, problem: Problem, hint: str = "") -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.hint = hint

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def errors(self) -> tuple[Wrong, ...]:
        """Which fields are wrong and why; empty when it is not about fields."""
        return self.problem.errors

    def __str__(self) -> str:
        title, detail = self.problem.title, self.problem.detail
        if not detail or detail == title:
            return title
        return f"{title}: {detail}" if title else detail


class _Here(SlipwayError):
    """A problem found on this side."""

    name = "client"
    title = ""

    def __init__(self, detail: str, hint: str = "", errors: tuple[Wrong, ...] = ()) -> None:
        made = Problem(
            type=f"urn:slipway:problem:{self.name}", title=self.title, detail=detail, errors=errors
        )
        super().__init__(made, hint)


class Unreachable(_Here):
    """No answer came: nothing listens there, or the way to it is broken."""

    name = "unreachable"


class Unconfigured(_Here):
    """Nothing says where the platform is, or which project is meant."""

    name = "unconfigured"


class BadSource(_Here):
    """What should be uploaded is missing, or can't be packed."""

    name = "bad-source"


class BadDocument(_Here):
    """A resource definition can't be read, or says what can't be. Each error names its document."""

    name = "bad-document"
    title = "The resource definitions are not valid"


class BadUsage(_Here):
    """What was asked for makes no sense, whatever the platform's state."""

    name = "bad-usage"


class Ambiguous(_Here):
    """A name means several things."""

    name = "ambiguous"


class NotFound(_Here):
    """Nothing has that name."""

    name = "not-found"


class Failed(_Here):
    """What was waited for can't happen any more: the build failed, or the job ended otherwise."""

    name = "failed"


class Slow(_Here):
    """What was waited for did not happen in time. It still may."""

    name = "slow"
