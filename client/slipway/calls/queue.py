"""The queue: why a job waits, who comes first, and what owners may have."""

from __future__ import annotations

from slipway.calls.accounts import Accounts
from slipway.calls.base import at, given
from slipway.types import Page, Target
from slipway.types_queue import Allowance, Queue, Quota, Why

ALL = "*"
"""In a quota: all types of GPU together."""


class Queueing(Accounts):
    async def why(self, job: str) -> Why:
        """Why a job is in the state that it is in, and what would change that."""
        return await self._transport.get(f"/jobs/{at(job)}/why", Why)

    async def queue(self, target: str | None = None, *, limit: int | None = None) -> Queue:
        """Who comes first in a target's queue (the platform's first one), and what owners have."""
        if target is None:
            target = (await self._transport.get("/targets", Page[Target])).items[0].name
        return await self._transport.get(f"/targets/{at(target)}/queue", Queue, limit=limit)

    async def quotas(self, owner: str | None = None) -> list[Quota]:
        """Those that this token sees, or an owner's."""
        return await self._all("/quotas" if owner is None else f"/owners/{at(owner)}/quotas", Quota)

    async def set_quota(
        self,
        owner: str,
        target: str,
        gpu_type: str = ALL,
        *,
        nominal: int,
        borrow: int | None = None,
        cohort: str = "",
    ) -> Quota:
        """Say what an owner may have of a target; for admins."""
        ask = given(nominal=nominal, borrow=borrow, cohort=cohort)
        return await self._transport.put(_quota(owner, target, gpu_type), Quota, ask)

    async def remove_quota(self, owner: str, target: str, gpu_type: str = ALL) -> None:
        """Let an owner have what there is, with nothing guaranteed; for admins."""
        await self._transport.delete(_quota(owner, target, gpu_type))

    async def allowance(self, owner: str | None = None) -> Allowance:
        """How an owner (the token's own) counts in the queue."""
        return await self._transport.get(await self._allowance(owner), Allowance)

    async def set_allowance(
        self, owner: str, *, weight: float = 1.0, highest: str = "normal"
    ) -> Allowance:
        """Say how an owner counts in the queue; for admins. `highest`: low, normal or high."""
        ask = given(weight=weight, highest=highest)
        return await self._transport.put(await self._allowance(owner), Allowance, ask)

    async def _allowance(self, owner: str | None) -> str:
        return f"/owners/{at(owner or (await self.whoami()).owner)}/allowance"


def _quota(owner: str, target: str, gpu_type: str) -> str:
    return f"/owners/{at(owner)}/quotas/{at(target, gpu_type)}"
