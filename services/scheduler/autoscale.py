"""How many copies a job is to have, by what is asked of it. Pure.

More are wanted at once. Fewer are wanted only when fewer would have done all the time for so long
as its owner said, and then no fewer than the most that were needed in that time: so what goes up
and down within that time moves nothing. A job that has not been watched for that long, because its
scheduler has just begun or no router told of it, has as many as it has, or more.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from shared.endpoint import Autoscaling
from shared.ids import JobId

TOLERANCE: Final = 0.1  # so much more than it is to have in hand makes no copy more
LAPSE: Final = 30.0  # seconds without a look, after which it counts as not watched before


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a job, at all routers together."""

    inside: float = 0.0  # requests in hand, a mean of late
    waiting: float = 0.0  # those that wait for a place
    turned_away: float = 0.0  # in a second
    seconds: float = 0.0  # that a request takes; 0: not known

    @property
    def lost(self) -> float:
        """Requests that would be in hand if none had been turned away."""
        return max(self.turned_away * self.seconds, 1.0) if self.turned_away > 0 else 0.0


class Scaled(msgspec.Struct, frozen=True, kw_only=True):
    """A job that runs and is scaled by demand."""

    job: JobId
    attempt: int
    copies: int  # that it is to have, so far
    autoscaling: Autoscaling
    concurrency: int = 1  # requests that a copy works on at once
    demand: Demand


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What was needed, and since when that is known. A time is left out when as much or more was
    needed later: that is all that the most of some time is made of."""

    since: float
    needs: tuple[tuple[float, int], ...]  # when, and how many copies


def needed(scaled: Scaled) -> int:
    """Copies that the demand of this moment needs, within the bounds that its owner set."""
    scaling, demand = scaled.autoscaling, scaled.demand
    copies = [scaling.min]
    if scaling.requests is not None:
        load = demand.inside + demand.waiting + demand.lost
        copies.append(_by_load(load, scaling.requests, scaled.copies))
    if scaling.waiting is not None:
        queue = demand.waiting + demand.lost
        filled = math.ceil(demand.inside / scaled.concurrency)
        copies.append(filled + math.ceil(queue / scaling.waiting))
    return min(max(copies), scaling.max)


def _by_load(load: float, each: int, copies: int) -> int:
    """A little more than they are to have is within what they may have."""
    most = copies * each
    return copies if most < load <= most * (1 + TOLERANCE) else math.ceil(load / each)


def remember(past: Past | None, scaled: Scaled, now: float) -> Past:
    """With what is needed now. `now` is of any clock that only goes forward."""
    need, after = needed(scaled), scaled.autoscaling.down_after
    if past is None or now - past.needs[-1][0] > LAPSE:
        return Past(since=now, needs=((now, need),))
    kept = tuple(each for each in past.needs if each[0] > now - after and each[1] > need)
    return msgspec.structs.replace(past, needs=(*kept, (now, need)))


def wanted(past: Past, scaled: Scaled, now: float) -> int:
    """How many copies it is to have. `past` is what `remember` made of this moment."""
    scaling = scaled.autoscaling
    most = max(need for _, need in past.needs)
    if now - past.since < scaling.down_after:
        most = max(most, scaled.copies)
    return min(max(most, scaling.min), scaling.max)
