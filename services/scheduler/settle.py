"""What becomes of an application, by how the servables of its newest revision are. Pure.

Level-triggered, as `reconcile` is: it compares what is written down with how things are, so it does
not matter what was missed, and once its answer is written down it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from shared.application import ApplicationState
from shared.events import (
    ApplicationFailed,
    ApplicationReady,
    JobFact,
    JobStopping,
    JobTerminated,
)
from shared.ids import ApplicationId, JobId
from shared.lifecycle import FAILED, LIVE, RUNNING, STOPPED, State

BY: Final = "slipway"  # who stops and terminates what nobody needs

TOLD: Final = 3  # servables of which a reason tells
LONGEST: Final = 1_000  # characters of what it says of one


class Servable(msgspec.Struct, frozen=True, kw_only=True):
    """A variant of the newest revision, and how its job is."""

    model: str
    version_name: str
    state: State
    reason: str = ""


class Assembly(msgspec.Struct, frozen=True, kw_only=True):
    """An application that is not removed, in the order of its stages and variants."""

    application: ApplicationId
    name: str
    state: ApplicationState
    reason: str
    revision: int
    live: int | None
    servables: tuple[Servable, ...]


class Unneeded(msgspec.Struct, frozen=True, kw_only=True):
    """A job of an application that no revision in use names."""

    job: JobId
    attempt: int
    state: State


def settled(assembly: Assembly) -> ApplicationReady | ApplicationFailed | None:
    """What to write down; None when there is nothing new, or it is too early to say."""
    broken = [each for each in assembly.servables if _why(each) is not None]
    if broken:
        reason = _reason(broken)
        if (assembly.state, assembly.reason) == (ApplicationState.FAILED, reason):
            return None
        return ApplicationFailed(
            application=assembly.application,
            name=assembly.name,
            revision=assembly.revision,
            reason=reason,
        )
    whole = all(each.state is RUNNING for each in assembly.servables)
    done = assembly.state is ApplicationState.READY and assembly.live == assembly.revision
    if not whole or done:
        return None
    return ApplicationReady(
        application=assembly.application, name=assembly.name, revision=assembly.revision
    )


def ended(unneeded: Unneeded) -> JobFact | None:
    """The next step to its end; None while something else has to happen first."""
    if unneeded.state in LIVE:
        return JobStopping(job=unneeded.job, attempt=unneeded.attempt, by=BY)
    if unneeded.state in (STOPPED, FAILED):
        return JobTerminated(job=unneeded.job, attempt=unneeded.attempt, by=BY)
    return None


def _why(servable: Servable) -> str | None:
    """Why it won't run unless somebody does something; None when it runs, or will."""
    if servable.state in LIVE:
        return None
    if servable.state is FAILED:
        return servable.reason or "it failed"
    return "its job was ended"


def _reason(broken: Sequence[Servable]) -> str:
    told = dict.fromkeys(
        f"{each.model}:{each.version_name}: {(_why(each) or '')[:LONGEST]}" for each in broken
    )
    more = len(told) - TOLD
    lines = list(told)[:TOLD] + ([f"and {more} more"] if more > 0 else [])
    return "; ".join(lines)
