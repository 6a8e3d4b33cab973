"""What was used, what it cost, and what may be spent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from slipway.calls.accounts import Accounts
from slipway.calls.base import MANY, at, given
from slipway.types_billing import Budget, Statement, Usage, UsageLine

Moment = datetime | str
"""A time with its zone; as text also a day or a month, by UTC: `2026-11-21`, `2026-11`."""


class Billing(Accounts):
    async def usage(
        self,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        by: Sequence[str] = ("job",),
        owner: str | None = None,
        project: str | None = None,
        job: str | None = None,
    ) -> Usage:
        """What GPUs were held for how long from `since` (the beginning of this month) until `until`
        (now), and what that cost.

        `by` is any of owner, project, job, target, gpu_type, price, and day or month. Owners,
        projects (owner/project) and jobs (ids) that are not named are all that this token sees.
        """
        asked = _query(since, until, by, owner, project, job)
        lines: list[UsageLine] = []
        after: str | None = None
        while True:
            page = await self._transport.get("/usage", Usage, after=after, limit=MANY, **asked)
            lines += page.items
            after = page.next
            if after is None:
                return msgspec.structs.replace(page, items=lines)

    async def usage_csv(
        self,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        by: Sequence[str] = ("job",),
        owner: str | None = None,
        project: str | None = None,
        job: str | None = None,
    ) -> str:
        """The same as CSV (RFC 4180)."""
        asked = _query(since, until, by, owner, project, job)
        return await self._transport.text("/usage", "text/csv", **asked)

    async def statement(self, month: str, owner: str | None = None) -> Statement:
        """What an owner (the token's own) held in a month such as `2026-11`, and owes for it."""
        return await self._transport.get(await self._statement(month, owner), Statement)

    async def statement_csv(self, month: str, owner: str | None = None) -> str:
        """The same as CSV (RFC 4180)."""
        return await self._transport.text(await self._statement(month, owner), "text/csv")

    async def budget(self, owner: str | None = None) -> Budget:
        """What an owner (the token's own) may spend in a month. 404 where nobody said."""
        return await self._transport.get(await self._budget(owner), Budget)

    async def set_budget(
        self,
        monthly: float,
        *,
        owner: str | None = None,
        warn: Sequence[float] | None = None,
        hold: bool = True,
    ) -> Budget:
        """Say what an owner may spend in a month; for admins.

        `warn`: parts of it that are told of when they are spent, half and four fifths by default.
        `hold`: nothing more of the owner's starts once it is spent.
        """
        ask = given(monthly=monthly, warn=None if warn is None else list(warn), hold=hold)
        return await self._transport.put(await self._budget(owner), Budget, ask)

    async def remove_budget(self, owner: str | None = None) -> None:
        """Let an owner spend as much as it likes; for admins."""
        await self._transport.delete(await self._budget(owner))

    async def _budget(self, owner: str | None) -> str:
        return f"/owners/{at(owner or (await self.whoami()).owner)}/budget"

    async def _statement(self, month: str, owner: str | None) -> str:
        return f"/owners/{at(owner or (await self.whoami()).owner)}/statements/{at(month)}"


def _query(
    since: Moment | None,
    until: Moment | None,
    by: Sequence[str],
    owner: str | None,
    project: str | None,
    job: str | None,
) -> dict[str, str | None]:
    return {
        "from": since.isoformat() if isinstance(since, datetime) else since,
        "to": until.isoformat() if isinstance(until, datetime) else until,
        "by": ",".join(by),
        "owner": owner,
        "project": project,
        "job": job,
    }
